//! Which letters: by origin, class, group, message, key and time.

use clap::Args;
use milena::Timestamp;
use milena_client::dead_letters::LetterFilter;

use super::super::time::time;

/// Which letters.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only those that came from this topic.
    #[arg(long, value_name = "TOPIC")]
    origin: Option<String>,
    /// Only those whose error is of this class, such as timeout or poison.
    #[arg(long)]
    class: Option<String>,
    /// Only those that this group gave up.
    #[arg(long)]
    group: Option<String>,
    /// Only those whose error says this somewhere.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Only those with this key.
    #[arg(long)]
    key: Option<String>,
    /// Only those written at this time or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<i64>,
    /// Only those written before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
}

impl Which {
    pub(super) fn filter(self) -> LetterFilter {
        let mut filter = LetterFilter::new();
        if let Some(topic) = self.origin {
            filter = filter.origin(topic);
        }
        if let Some(class) = self.class {
            filter = filter.class(class);
        }
        if let Some(group) = self.group {
            filter = filter.group(group);
        }
        if let Some(text) = self.message {
            filter = filter.message_contains(text);
        }
        if let Some(key) = self.key {
            filter = filter.key(key);
        }
        if let Some(time) = self.since {
            filter = filter.since(Timestamp::from_millis(time));
        }
        if let Some(time) = self.until {
            filter = filter.until(Timestamp::from_millis(time));
        }
        filter
    }
}
