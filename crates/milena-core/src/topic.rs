//! Names of topics and of their partitions, cheap to clone.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Partition;

/// The name of a topic. A clone copies a pointer.
#[derive(Clone)]
pub struct TopicName(NameText);

/// The text of a name. Names kept until the process ends are cloned without a reference count.
#[derive(Clone)]
enum NameText {
    /// A name from [`KEPT`], which is never freed.
    Kept(&'static str),
    /// Any other name. A clone increments its reference count.
    Shared(Arc<str>),
}

/// The names that are kept until the process ends.
static KEPT: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

/// The most names in [`KEPT`]. They take 4 MiB if every name has Kafka's maximum of 249 bytes.
const MOST_KEPT: usize = 1 << 14;

impl TopicName {
    /// Returns the name as text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            NameText::Kept(name) => name,
            NameText::Shared(name) => name,
        }
    }

    /// Returns the same name, kept in memory until the process ends, so that clones cost nothing.
    ///
    /// Meant for names that a cluster has confirmed and that many records carry. Each name is kept
    /// once. At most 16,384 names are kept, and further names are returned unchanged.
    #[must_use]
    pub fn keep(&self) -> Self {
        let NameText::Shared(name) = &self.0 else {
            return self.clone();
        };
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_default();
        if let Some(known) = kept.get(&**name) {
            return Self(NameText::Kept(known));
        }
        if kept.len() >= MOST_KEPT {
            return self.clone();
        }
        let name: &'static str = Box::leak(Box::from(&**name));
        kept.insert(name);
        Self(NameText::Kept(name))
    }

    /// Returns the reason why Kafka would refuse this name. `None` if the name is legal.
    ///
    /// A legal name has 1 to 249 characters of `a-z A-Z 0-9 . _ -`, and is neither `.` nor `..`.
    #[must_use]
    pub fn defect(&self) -> Option<&'static str> {
        match self.as_str() {
            "" => Some("a topic name cannot be empty"),
            "." | ".." => Some("a topic name cannot be `.` or `..`"),
            name if name.len() > 249 => Some("a topic name has at most 249 characters"),
            name if !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) =>
            {
                Some("a topic name has only letters, digits, `.`, `_` and `-`")
            }
            _ => None,
        }
    }
}

impl Deref for TopicName {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for TopicName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for TopicName {}

impl Hash for TopicName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The hash must equal that of `str`, because maps with `TopicName` keys are searched by
        // `&str`.
        self.as_str().hash(state);
    }
}

impl PartialOrd for TopicName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TopicName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl From<&str> for TopicName {
    fn from(name: &str) -> Self {
        Self(NameText::Shared(name.into()))
    }
}

impl From<String> for TopicName {
    fn from(name: String) -> Self {
        Self(NameText::Shared(name.into()))
    }
}

impl From<&String> for TopicName {
    fn from(name: &String) -> Self {
        Self::from(name.as_str())
    }
}

impl From<&TopicName> for TopicName {
    fn from(name: &TopicName) -> Self {
        name.clone()
    }
}

impl PartialEq<str> for TopicName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for TopicName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One partition of one topic. Displayed as `orders-3`, like in Kafka's own tools.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// The partition's number.
    pub partition: Partition,
}

impl TopicPartition {
    /// Names `partition` of `topic`.
    pub fn new(topic: impl Into<TopicName>, partition: impl Into<Partition>) -> Self {
        Self {
            topic: topic.into(),
            partition: partition.into(),
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_illegal_name_says_why() {
        assert_eq!(TopicName::from("orders.v1_a-B").defect(), None);
        assert!(TopicName::from("").defect().unwrap().contains("empty"));
        assert!(TopicName::from("..").defect().is_some());
        assert!(TopicName::from("a b").defect().unwrap().contains("letters"));
        assert!(
            TopicName::from("x".repeat(250))
                .defect()
                .unwrap()
                .contains("249")
        );
    }

    #[test]
    fn a_kept_name_is_the_same_name_and_is_kept_once() {
        let (kept, shared) = (TopicName::from("kept").keep(), TopicName::from("kept"));
        assert_eq!(kept, shared);
        assert_eq!(
            std::collections::HashMap::from([(kept.clone(), 1)])["kept"],
            1
        );
        assert!(std::ptr::eq(kept.as_str(), shared.keep().as_str()));
        assert!(std::ptr::eq(kept.as_str(), kept.keep().as_str()));
    }

    #[test]
    fn a_partition_is_written_as_kafka_writes_it() {
        assert_eq!(TopicPartition::new("orders", 3).to_string(), "orders-3");
    }
}
