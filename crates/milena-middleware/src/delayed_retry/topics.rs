//! The retry topics of a topic, their delays and their names. Pure.

use std::sync::Arc;
use std::time::Duration;

use milena_core::TopicName;

/// The delays of retry topics and the rule for their names, such as `orders.retry.5s`. A clone is
/// cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryTopics {
    /// The delays in order of use. At least 1 ms each.
    delays: Arc<[Duration]>,
    /// The middle part of the names, between topic and delay.
    infix: Arc<str>,
}

impl RetryTopics {
    /// Creates one retry topic for each delay, in order of use. A delay that occurs twice is one
    /// topic, used twice.
    ///
    /// Delays are whole milliseconds, at least 1.
    pub fn new(delays: impl IntoIterator<Item = Duration>) -> Self {
        let millisecond = Duration::from_millis(1);
        let delays = delays.into_iter().map(|delay| delay.max(millisecond));
        Self {
            delays: delays.collect(),
            infix: "retry".into(),
        }
    }

    /// Adds the group to the names, as in `orders.billing.retry.5s`, so that each group that reads
    /// the topic has its own retry topics.
    #[must_use]
    pub fn for_group(mut self, group: &str) -> Self {
        self.infix = format!("{group}.retry").into();
        self
    }

    /// Returns the delays in order of use.
    #[must_use]
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// Returns the suffix of each retry topic once.
    pub fn suffixes(&self) -> impl Iterator<Item = String> {
        let first = |at: usize, delay: &Duration| !self.delays.iter().take(at).any(|d| d == delay);
        let delays = self.delays.iter().enumerate();
        let delays = delays.filter(move |(at, delay)| first(*at, delay));
        delays.map(|(_, delay)| self.suffix(*delay))
    }

    /// Returns the retry topics of `topic`.
    #[must_use]
    pub fn of(&self, topic: &str) -> Vec<TopicName> {
        let named = self.suffixes().map(|end| format!("{topic}{end}").into());
        named.collect()
    }

    /// Returns `topic` and its retry topics. A consumer of the topic subscribes to all of them.
    #[must_use]
    pub fn all_of(&self, topic: &str) -> Vec<TopicName> {
        let mut all = vec![topic.into()];
        all.extend(self.of(topic));
        all
    }

    /// Returns the topic that a retry topic belongs to, or `None` for any other topic.
    #[must_use]
    pub fn base<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let bases = self.suffixes();
        let bases = bases.filter_map(|suffix| topic.strip_suffix(suffix.as_str()));
        bases.min_by_key(|base| base.len())
    }

    /// Returns the topic and the delay number `round`, counted from 0. `None` after the last delay.
    pub(super) fn next(&self, base: &str, round: usize) -> Option<(TopicName, Duration)> {
        let delay = *self.delays.get(round)?;
        Some((format!("{base}{}", self.suffix(delay)).into(), delay))
    }

    fn suffix(&self, delay: Duration) -> String {
        format!(".{}.{}", self.infix, in_words(delay))
    }
}

/// Formats a delay in its largest whole unit, such as `500ms`, `5s`, `10m`, `1h` or `2d`.
fn in_words(delay: Duration) -> String {
    let millis = delay.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    let mut units = units.into_iter();
    match units.find(|(size, _)| millis.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", millis / size),
        None => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_named_by_its_delay_in_the_largest_whole_unit() {
        let seconds = |n| Duration::from_secs(n);
        let delays = [
            Duration::from_millis(1_500),
            seconds(5),
            seconds(90),
            seconds(3_600),
            seconds(172_800),
        ];
        let topics = RetryTopics::new(delays).of("orders");
        let expected = ["1500ms", "5s", "90s", "1h", "2d"].map(|end| format!("orders.retry.{end}"));
        assert_eq!(topics, expected.map(TopicName::from));
    }

    #[test]
    fn a_retry_topic_leads_back_to_its_own() {
        let topics = RetryTopics::new([Duration::from_secs(5)]).for_group("billing");
        assert_eq!(
            topics.all_of("orders"),
            ["orders", "orders.billing.retry.5s"]
        );
        assert_eq!(topics.base("orders.billing.retry.5s"), Some("orders"));
        assert_eq!(topics.base("orders.retry.5s"), None);
        assert_eq!(topics.base("orders"), None);
    }

    #[test]
    fn a_delay_that_is_named_twice_is_one_topic_used_twice() {
        let second = Duration::from_secs(1);
        let topics = RetryTopics::new([second, second]);
        assert_eq!(topics.of("x"), ["x.retry.1s"]);
        assert_eq!(topics.next("x", 1), Some(("x.retry.1s".into(), second)));
        assert_eq!(topics.next("x", 2), None);
    }
}
