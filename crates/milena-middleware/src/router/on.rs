//! The description of the records that a route takes, by topic, pattern, headers or predicate.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{ConsumerRecord, TopicName, TopicPattern};

/// A description of the records that a route takes. It takes records of its topics that meet all of
/// its conditions.
///
/// ```
/// use milena_middleware::On;
///
/// let refunds = On::topic("orders").header("kind", "refund");
/// let large = On::pattern("orders.*").when("large", |record| {
///     record.value.as_ref().is_some_and(|value| value.len() > 1_000_000)
/// });
/// # let _ = (refunds, large);
/// ```
#[derive(Clone)]
#[must_use = "it only describes records"]
pub struct On {
    /// The topics whose records it takes.
    pub(super) topics: Topics,
    /// The conditions, all of which a record must meet.
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Topics {
    Named(Vec<TopicName>),
    Pattern(TopicPattern),
    Any,
}

#[derive(Clone)]
pub(super) enum Condition {
    /// The last header of that name has this value. `None` accepts any value.
    Header(Arc<str>, Option<Bytes>),
    /// The predicate returns true. The name is for people.
    Custom(Arc<str>, Arc<dyn Fn(&ConsumerRecord) -> bool + Send + Sync>),
}

impl On {
    /// Takes records of `topic`.
    pub fn topic(topic: impl Into<TopicName>) -> Self {
        Self::topics([topic])
    }

    /// Takes records of these topics.
    pub fn topics<I>(topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        Self::new(Topics::Named(topics.into_iter().map(Into::into).collect()))
    }

    /// Takes records of all topics whose names match, such as `orders.*`.
    pub fn pattern(pattern: impl Into<TopicPattern>) -> Self {
        Self::new(Topics::Pattern(pattern.into()))
    }

    /// Takes records of any topic.
    pub fn any() -> Self {
        Self::new(Topics::Any)
    }

    /// Adds the condition that the record has a header with this name and value. If the name occurs
    /// more than once, the last header counts.
    pub fn header(mut self, name: impl Into<Arc<str>>, value: impl Into<Bytes>) -> Self {
        let condition = Condition::Header(name.into(), Some(value.into()));
        self.conditions.push(condition);
        self
    }

    /// Adds the condition that the record has a header with this name, with any value, including
    /// null.
    pub fn has_header(mut self, name: impl Into<Arc<str>>) -> Self {
        self.conditions.push(Condition::Header(name.into(), None));
        self
    }

    /// Adds the condition that `holds` returns true. `name` is for people. `holds` runs on the lane
    /// once per record and must return at once.
    pub fn when(
        mut self,
        name: impl Into<Arc<str>>,
        holds: impl Fn(&ConsumerRecord) -> bool + Send + Sync + 'static,
    ) -> Self {
        let condition = Condition::Custom(name.into(), Arc::new(holds));
        self.conditions.push(condition);
        self
    }

    fn new(topics: Topics) -> Self {
        Self {
            topics,
            conditions: Vec::new(),
        }
    }

    pub(super) fn prefixed(self, prefix: &str) -> Self {
        let pattern = |text: &str| Topics::Pattern(format!("{prefix}{text}").as_str().into());
        let topics = match self.topics {
            Topics::Any if prefix.is_empty() => Topics::Any,
            Topics::Any => pattern("*"),
            Topics::Pattern(known) => pattern(known.as_str()),
            Topics::Named(names) => {
                let prefixed = names.iter().map(|name| format!("{prefix}{name}").into());
                Topics::Named(prefixed.collect())
            }
        };
        Self { topics, ..self }
    }

    /// Returns the same description limited to the topics in `only`.
    pub(super) fn within(self, only: &[TopicName]) -> Self {
        let both = only.iter().filter(|topic| self.takes(topic)).cloned();
        let topics = Topics::Named(both.collect());
        Self { topics, ..self }
    }

    /// Returns true if it takes records of `topic`.
    pub(super) fn takes(&self, topic: &str) -> bool {
        match &self.topics {
            Topics::Named(names) => names.iter().any(|name| name == topic),
            Topics::Pattern(pattern) => pattern.matches(topic),
            Topics::Any => true,
        }
    }

    /// Returns true if `record` meets all conditions.
    pub(super) fn holds(&self, record: &ConsumerRecord) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::Header(name, None) => record.headers.get(name).is_some(),
            Condition::Header(name, Some(value)) => {
                record.headers.get(name) == Some(Some(&value[..]))
            }
            Condition::Custom(_, holds) => holds(record),
        })
    }

    /// Returns the topic or pattern for which both descriptions take the same records, as text.
    /// `None` if they differ.
    pub(super) fn conflict(&self, other: &Self) -> Option<String> {
        let same =
            |one: &Self, two: &Self| one.conditions.iter().all(|c| two.conditions.contains(c));
        if !same(self, other) || !same(other, self) {
            return None;
        }
        match (&self.topics, &other.topics) {
            (Topics::Any, Topics::Any) => Some("records of any topic".to_owned()),
            (Topics::Named(one), Topics::Named(two)) => {
                let both = one.iter().find(|name| two.contains(name))?;
                Some(format!("records of the topic `{both}`"))
            }
            (Topics::Pattern(one), Topics::Pattern(two)) if one == two => {
                Some(format!("records of topics like `{one}`"))
            }
            (Topics::Pattern(one), Topics::Pattern(two))
                if one.literals() == two.literals() && one.overlaps(two) =>
            {
                Some(format!(
                    "records of topics that match both `{one}` and `{two}`, of which neither is more specific"
                ))
            }
            _ => None,
        }
    }

    /// Returns the reason why it can take no record, or `None`.
    pub(super) fn defect(&self) -> Option<String> {
        match &self.topics {
            Topics::Named(names) if names.is_empty() => Some("it names no topic".to_owned()),
            Topics::Named(names) => names.iter().find_map(|name| {
                let defect = name.defect()?;
                Some(format!("`{name}`: {defect}"))
            }),
            Topics::Pattern(_) | Topics::Any => None,
        }
    }

    /// Returns the rank, where the greater rank comes first. A topic precedes a pattern, a longer
    /// pattern a shorter one, more conditions fewer.
    pub(super) fn rank(&self) -> (usize, usize, usize) {
        let (kind, literals) = match &self.topics {
            Topics::Named(_) => (2, 0),
            Topics::Pattern(pattern) => (1, pattern.literals()),
            Topics::Any => (0, 0),
        };
        (kind, literals, self.conditions.len())
    }
}

impl From<&str> for On {
    fn from(text: &str) -> Self {
        if text.contains('*') {
            Self::pattern(text)
        } else {
            Self::topic(text)
        }
    }
}

impl From<String> for On {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for On {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<TopicName> for On {
    fn from(topic: TopicName) -> Self {
        Self::topic(topic)
    }
}

impl From<&TopicName> for On {
    fn from(topic: &TopicName) -> Self {
        Self::topic(topic)
    }
}

impl From<TopicPattern> for On {
    fn from(pattern: TopicPattern) -> Self {
        Self::pattern(pattern)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header(name, value), Self::Header(other, its)) => name == other && value == its,
            (Self::Custom(_, one), Self::Custom(_, two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topics {
            Topics::Named(names) => {
                for (at, name) in names.iter().enumerate() {
                    write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
                }
            }
            Topics::Pattern(pattern) => write!(f, "{pattern}")?,
            Topics::Any => f.write_str("any topic")?,
        }
        for condition in &self.conditions {
            match condition {
                Condition::Header(name, None) => write!(f, " with {name}")?,
                Condition::Header(name, Some(value)) => {
                    write!(f, " with {name}={}", String::from_utf8_lossy(value))?;
                }
                Condition::Custom(name, _) => write!(f, " when {name}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "On({self})")
    }
}
