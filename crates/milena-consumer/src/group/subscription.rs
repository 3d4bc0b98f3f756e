//! The topics that a consumer reads, by name, by a pattern, or both. The subscription may change
//! while the consumer runs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicName};
use milena_pool::{Metadata, TopicMetadata};
use regex::bytes::{Regex, RegexBuilder};

/// The topics that a consumer subscribed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// Topics that were subscribed to by name.
    pub(crate) topics: BTreeSet<TopicName>,
    /// The pattern for further topics. `None` without one.
    pub(crate) pattern: Option<Pattern>,
}

impl Subscription {
    /// Returns the topics by name, and all existing topics that match the pattern. Internal topics
    /// never match.
    pub(crate) fn resolve(&self, metadata: &Metadata) -> BTreeSet<TopicName> {
        let mut found = self.topics.clone();
        if let Some(pattern) = &self.pattern {
            let there = metadata
                .topics()
                .filter(|topic| is_there(topic) && !topic.internal && pattern.fits(&topic.name));
            found.extend(there.map(|topic| topic.name.clone()));
        }
        found
    }

    /// Checks that the subscription has a valid topic or a pattern.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an empty subscription, and for an invalid topic name.
    pub(crate) fn check(&self) -> Result<()> {
        if self.topics.is_empty() && self.pattern.is_none() {
            let what =
                "a group consumer needs topics: name them with `topics`, or give a `topic_pattern`";
            return Err(Error::new(ErrorKind::Config, what).setting("topics"));
        }
        for topic in &self.topics {
            if let Some(defect) = topic.defect() {
                let error = Error::new(ErrorKind::Config, defect).setting("topics");
                return Err(error.topic(topic.clone()));
            }
        }
        Ok(())
    }
}

/// Returns true if the topic exists, as far as metadata shows. A temporary error of the topic, for
/// example while a leader is elected, does not count as its deletion.
pub(crate) fn is_there(topic: &TopicMetadata) -> bool {
    let is_gone = matches!(
        topic.error,
        Some(
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
                | ErrorCode::UNKNOWN_TOPIC_ID
                | ErrorCode::INVALID_TOPIC_EXCEPTION
        )
    );
    !is_gone && !topic.partitions.is_empty()
}

/// A regular expression for whole topic names, in the syntax that brokers use too (RE2).
#[derive(Clone)]
pub(crate) struct Pattern {
    /// The expression as the user gave it.
    text: Arc<str>,
    /// The same expression, anchored at both ends.
    whole: Regex,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the reason why this is no valid expression.
    pub(crate) fn new(text: &str) -> Result<Self> {
        // Like the engine of brokers. Classes such as `\w` are ASCII, and a pattern must match the
        // whole name.
        let compile = |text: &str| RegexBuilder::new(text).unicode(false).build();
        let whole = compile(text)
            .and_then(|_| compile(&format!("^(?:{text})$")))
            .map_err(|cause| {
                // The error text has several lines, which show the position. The last one gives the
                // reason.
                let told = cause.to_string();
                let last = told.lines().last().unwrap_or_default();
                let why = last.strip_prefix("error: ").unwrap_or(last);
                let what = format!(
                    "`{text}` is not a regular expression that brokers accept (RE2 syntax, ASCII classes only): {why}"
                );
                Error::new(ErrorKind::Config, what)
                    .setting("topic_pattern")
                    .with_source(cause)
            })?;
        Ok(Self {
            text: text.into(),
            whole,
        })
    }

    /// Returns the expression as the user gave it, for brokers that match topics themselves.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if the whole topic name matches.
    pub(crate) fn fits(&self, topic: &str) -> bool {
        self.whole.is_match(topic.as_bytes())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_names_only() {
        let pattern = Pattern::new("orders|pay.*").unwrap();
        assert!(pattern.fits("orders") && pattern.fits("payments"));
        assert!(
            !pattern.fits("orders.old") && !pattern.fits("old-orders") && !pattern.fits("repay")
        );
        assert!(Pattern::new(r"\w+-\d").unwrap().fits("topic-1"));
    }

    #[test]
    fn what_is_no_regular_expression_is_told_with_its_cause() {
        for wrong in ["(", "a)|(b", "[z-a]"] {
            let error = Pattern::new(wrong).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(std::error::Error::source(&error).is_some());
        }
        for (elsewhere, why) in [("(?=a)", "look-around"), (r"a\p{L}", "Unicode")] {
            let error = Pattern::new(elsewhere).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn nothing_at_all_is_refused() {
        assert!(Subscription::default().check().is_err());
    }
}
