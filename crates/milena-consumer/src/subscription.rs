//! What a consumer reads: topics by name, by a pattern, or both; it may change while the consumer runs.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicName};
use milena_pool::{Metadata, TopicMetadata};
use regex::bytes::{Regex, RegexBuilder};

/// The topics that a consumer subscribed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) topics: BTreeSet<TopicName>,
    pub(crate) pattern: Option<Pattern>,
}

impl Subscription {
    /// The topics by name, and those there are that the pattern fits; never an internal one by pattern.
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

    /// # Errors
    /// [`ErrorKind::Config`] for nothing at all, and for a name that no topic can have.
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

/// Whether a topic exists, as far as the picture of the cluster tells: an error that passes, such as of a leader that is being elected,
/// does not make it go.
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

/// A regular expression over whole topic names, in the syntax that brokers use too (RE2).
#[derive(Clone)]
pub(crate) struct Pattern {
    text: Arc<str>,
    whole: Regex,
}

impl Pattern {
    /// # Errors
    /// [`ErrorKind::Config`] with the place of the mistake.
    pub(crate) fn new(text: &str) -> Result<Self> {
        // As the brokers' engine: classes such as `\w` are ASCII, and a name must fit from its first to its last character.
        let compile = |text: &str| RegexBuilder::new(text).unicode(false).build();
        let whole = compile(text)
            .and_then(|_| compile(&format!("^(?:{text})$")))
            .map_err(|cause| {
                // Its text draws the place in several lines; the last one says what is wrong.
                let told = cause.to_string();
                let last = told.lines().last().unwrap_or_default();
                let why = last.strip_prefix("error: ").unwrap_or(last);
                let what = format!(
                    "`{text}` is no regular expression of the kind that brokers match topics by (RE2; ASCII classes only): {why}"
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

    /// As it was given, for brokers that match it themselves.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

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
