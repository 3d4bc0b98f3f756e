//! A topic, with its id, its partitions and its configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_core::TopicName;
use parking_lot::RwLock;
use tokio::time::Instant;
use uuid::Uuid;

use crate::config_kind::Kind;
use crate::partition::Partition;

/// A topic of the cluster.
#[derive(Debug)]
pub(crate) struct Topic {
    /// The name.
    pub(crate) name: Arc<str>,
    /// The id, drawn at random when the topic is created.
    pub(crate) id: Uuid,
    /// The partitions by number. They are only ever added.
    pub(crate) partitions: RwLock<Vec<Arc<Partition>>>,
    /// The settings.
    pub(crate) config: RwLock<TopicConfig>,
    /// The time from which brokers know it.
    pub(crate) visible_at: Instant,
}

impl Topic {
    /// Returns a partition by its number.
    pub(crate) fn partition(&self, index: i32) -> Option<Arc<Partition>> {
        let index = usize::try_from(index).ok()?;
        self.partitions.read().get(index).cloned()
    }

    /// Returns true if brokers know it.
    pub(crate) fn is_visible(&self) -> bool {
        Instant::now() >= self.visible_at
    }

    /// Returns all partitions.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        self.partitions.read().clone()
    }
}

/// The settings of a topic that were set. All others have Kafka's defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicConfig(BTreeMap<String, String>);

impl TopicConfig {
    /// Sets `key`. Refuses an unknown key or an invalid value, with the reason.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let Some((_, _, kind)) = KEYS.iter().find(|(name, ..)| *name == key) else {
            return Err(format!("Unknown topic config name: {key}"));
        };
        let Some(value) = kind.read(value) else {
            return Err(format!("Invalid value {value} for configuration {key}"));
        };
        self.0.insert(key.to_owned(), value);
        Ok(())
    }

    /// Resets `key` to its default.
    pub(crate) fn unset(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Returns the value that was set for `key`.
    pub(crate) fn given(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Returns every key with its value, true if it was set, and its type.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'static str, &str, bool, Kind)> {
        KEYS.iter()
            .map(|(name, default, kind)| match self.given(name) {
                Some(value) => (*name, value, true, *kind),
                None => (*name, *default, false, *kind),
            })
    }

    /// Returns the largest batch in bytes, if it was set.
    pub(crate) fn max_message_bytes(&self) -> Option<usize> {
        self.given("max.message.bytes")?.parse().ok()
    }

    /// Returns how far a record's own time may be before and after the broker's clock, in
    /// milliseconds.
    pub(crate) fn timestamp_window(&self) -> (i64, i64) {
        (
            self.number("message.timestamp.before.max.ms"),
            self.number("message.timestamp.after.max.ms"),
        )
    }

    /// Returns the value of a `Long` key, set or default.
    fn number(&self, key: &str) -> i64 {
        let value = self.entries().find(|(name, ..)| *name == key);
        value
            .and_then(|(_, value, ..)| value.parse().ok())
            .unwrap_or(i64::MAX)
    }

    /// Returns true if the broker writes its own time into batches.
    pub(crate) fn log_append_time(&self) -> bool {
        self.given("message.timestamp.type") == Some("LogAppendTime")
    }

    /// Returns the number of replicas that must be in sync for acks=all.
    pub(crate) fn min_insync_replicas(&self) -> usize {
        self.given("min.insync.replicas")
            .and_then(|value| value.parse().ok())
            .unwrap_or(1)
    }

    /// Returns true if the topic is compacted, so that each record needs a key.
    pub(crate) fn is_compacted(&self) -> bool {
        let policy = self.given("cleanup.policy").unwrap_or_default();
        policy.split(',').any(|word| word == "compact")
    }

    /// Returns true if a replica that is not in sync may lead when no other can.
    pub(crate) fn unclean_election(&self) -> bool {
        self.given("unclean.leader.election.enable") == Some("true")
    }

    /// Returns the bytes to keep per partition, if they were set.
    pub(crate) fn retention_bytes(&self) -> Option<usize> {
        self.given("retention.bytes")?.parse().ok()
    }
}

/// Returns true if the topic is one of Kafka's own.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(
        name,
        "__consumer_offsets" | "__transaction_state" | "__share_group_state"
    )
}

/// Returns true if two names have the same form in metrics, in which brokers write `.` as `_`.
pub(crate) fn collide(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.replace('.', "_") == other.replace('.', "_")
}

/// Returns the reason that a topic cannot have this name, or `None` if it can.
pub(crate) fn name_defect(name: &str) -> Option<&'static str> {
    TopicName::from(name).defect()
}

/// The settings of a topic, with Kafka's default and the type.
const KEYS: &[(&str, &str, Kind)] = &[
    (
        "cleanup.policy",
        "delete",
        Kind::ListOf(&["delete", "compact"]),
    ),
    ("compression.type", "producer", Kind::Compression),
    ("delete.retention.ms", "86400000", Kind::Long(0)),
    ("file.delete.delay.ms", "60000", Kind::Long(0)),
    ("flush.messages", "9223372036854775807", Kind::Long(1)),
    ("flush.ms", "9223372036854775807", Kind::Long(0)),
    ("index.interval.bytes", "4096", Kind::Int(0)),
    (
        "max.compaction.lag.ms",
        "9223372036854775807",
        Kind::Long(1),
    ),
    ("max.message.bytes", "1048588", Kind::Int(0)),
    ("message.timestamp.after.max.ms", "3600000", Kind::Long(0)),
    (
        "message.timestamp.before.max.ms",
        "9223372036854775807",
        Kind::Long(0),
    ),
    (
        "message.timestamp.type",
        "CreateTime",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
    ),
    ("min.cleanable.dirty.ratio", "0.5", Kind::Ratio),
    ("min.compaction.lag.ms", "0", Kind::Long(0)),
    ("min.insync.replicas", "1", Kind::Int(1)),
    ("preallocate", "false", Kind::Boolean),
    ("retention.bytes", "-1", Kind::Long(-1)),
    ("retention.ms", "604800000", Kind::Long(-1)),
    ("segment.bytes", "1073741824", Kind::Int(14)),
    ("segment.index.bytes", "10485760", Kind::Int(4)),
    ("segment.jitter.ms", "0", Kind::Long(0)),
    ("segment.ms", "604800000", Kind::Long(1)),
    ("unclean.leader.election.enable", "false", Kind::Boolean),
    ("follower.replication.throttled.replicas", "", Kind::Text),
    ("leader.replication.throttled.replicas", "", Kind::Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_and_a_bad_value_are_refused() {
        let mut config = TopicConfig::default();
        assert!(config.set("no.such.key", "1").is_err());
        assert!(config.set("max.message.bytes", "many").is_err());
        config.set("max.message.bytes", "500").unwrap();
        config.set("cleanup.policy", "compact,delete").unwrap();
        assert_eq!(config.max_message_bytes(), Some(500));
        config.unset("max.message.bytes");
        assert_eq!(config.max_message_bytes(), None);
    }
}
