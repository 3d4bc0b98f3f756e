//! The choice of dead letters, by origin, class, group, message, key and time.

use clap::Args;
use milena::Timestamp;
use milena_client::dead_letters::LetterFilter;

use super::super::time::time;

/// The conditions on dead letters.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only letters that came from this topic.
    #[arg(long, value_name = "TOPIC")]
    origin: Option<String>,
    /// Only letters whose error is of this class, such as timeout or poison.
    #[arg(long)]
    class: Option<String>,
    /// Only letters that this group gave up.
    #[arg(long)]
    group: Option<String>,
    /// Only letters whose error text contains this.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Only letters with this key.
    #[arg(long)]
    key: Option<String>,
    /// Only letters written at this time or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<i64>,
    /// Only letters written before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<i64>,
}

impl Which {
    /// Makes the filter of these conditions.
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
