//! The Fetch request of a consumer, which says what to read from where, and what to drop from the
//! session.

use std::time::Duration;

use bytes::Bytes;
use milena_core::{
    Error, ErrorKind, IsolationLevel, LeaderEpoch, Offset, Partition, Result, TopicName,
};
use uuid::Uuid;

use super::TOPIC_IDS_FROM;
use crate::api::ApiKey;
use crate::produce::millis;
use crate::request::unknown_version;
use crate::writer::{put_count, put_i8, put_i32, put_i64, put_no_tags, put_str};

/// A fetch session, in which a request names only changes (KIP-227).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FetchSession {
    /// The id that the broker gave. 0 if there is none yet.
    pub id: i32,
    /// The count of requests in the session. 0 asks for a new session. -1 asks for none, and closes
    /// the one with the id.
    pub epoch: i32,
}

impl FetchSession {
    /// No session. Every request names every partition.
    pub const NONE: Self = Self { id: 0, epoch: -1 };
    /// A request to open a session.
    pub const OPEN: Self = Self { id: 0, epoch: 0 };
}

/// The part of one partition to fetch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FetchPartition {
    /// The topic.
    pub topic: TopicName,
    /// The topic's id. Version 13 and above need it. `None` if it is not known.
    pub topic_id: Option<Uuid>,
    /// The partition.
    pub partition: Partition,
    /// The offset to begin at.
    pub offset: Offset,
    /// The leader epoch that the client knows. A broker with another one refuses (KIP-320).
    pub leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record read, from which brokers notice truncation.
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// The most bytes of records in the answer. A first batch may be larger.
    pub max_bytes: u32,
}

/// A partition to remove from the session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ForgottenPartition {
    /// The topic.
    pub topic: TopicName,
    /// The topic's id. Version 13 and above need it. `None` if it is not known.
    pub topic_id: Option<Uuid>,
    /// The partition.
    pub partition: Partition,
}

/// A Fetch request of a consumer.
#[derive(Clone, Copy, Debug)]
pub struct FetchRequest<'a> {
    /// The time that the broker may wait for `min_bytes`.
    pub max_wait: Duration,
    /// The bytes of records that the broker waits for.
    pub min_bytes: u32,
    /// The most bytes of records in the whole answer. A first batch may be larger.
    pub max_bytes: u32,
    /// The records to see.
    pub isolation: IsolationLevel,
    /// The session. Sent from version 7 on.
    pub session: FetchSession,
    /// The partitions to fetch. The broker serves them in this order. Neighbours of one topic share
    /// its name on the wire.
    pub partitions: &'a [FetchPartition],
    /// The partitions to remove from the session. Sent from version 7 on.
    pub forgotten: &'a [ForgottenPartition],
    /// The consumer's rack. Sent from version 11 on. Empty if it has none (KIP-392).
    pub rack: &'a str,
}

impl FetchRequest<'_> {
    /// Encodes the request's body. The header comes from [`request::head`](crate::request::head).
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`] for a version outside 4 to 17
    /// - [`ErrorKind::State`] for version 13 and above if a topic id is not known
    pub fn encode(&self, version: i16) -> Result<Bytes> {
        if !ApiKey::Fetch.supported().contains(version) {
            return Err(unknown_version(ApiKey::Fetch, version));
        }
        let flexible = ApiKey::Fetch.is_flexible(version);
        let mut out = Vec::with_capacity(64 + 64 * (self.partitions.len() + self.forgotten.len()));
        if version <= 14 {
            put_i32(&mut out, -1); // a consumer is no replica
        }
        put_i32(&mut out, millis(self.max_wait));
        put_i32(&mut out, size(self.min_bytes));
        put_i32(&mut out, size(self.max_bytes));
        put_i8(&mut out, self.isolation.to_wire());
        if version >= 7 {
            put_i32(&mut out, self.session.id);
            put_i32(&mut out, self.session.epoch);
        }
        let topics = self
            .partitions
            .chunk_by(|a, b| a.topic == b.topic && a.topic_id == b.topic_id);
        put_count(&mut out, topics.clone().count(), flexible)?;
        for topic in topics {
            put_topic(
                &mut out,
                version,
                topic.first().map(|p| (&p.topic, p.topic_id)),
            )?;
            put_count(&mut out, topic.len(), flexible)?;
            for partition in topic {
                put_partition(&mut out, version, partition);
            }
            put_no_tags(&mut out, flexible);
        }
        if version >= 7 {
            self.put_forgotten(&mut out, version)?;
        }
        if version >= 11 {
            put_str(&mut out, Some(self.rack), flexible)?;
        }
        put_no_tags(&mut out, flexible);
        Ok(Bytes::from(out))
    }

    /// Writes the partitions to remove from the session.
    fn put_forgotten(&self, out: &mut Vec<u8>, version: i16) -> Result<()> {
        let flexible = ApiKey::Fetch.is_flexible(version);
        let topics = self
            .forgotten
            .chunk_by(|a, b| a.topic == b.topic && a.topic_id == b.topic_id);
        put_count(out, topics.clone().count(), flexible)?;
        for topic in topics {
            put_topic(out, version, topic.first().map(|p| (&p.topic, p.topic_id)))?;
            put_count(out, topic.len(), flexible)?;
            for forgotten in topic {
                put_i32(out, forgotten.partition.to_wire());
            }
            put_no_tags(out, flexible);
        }
        Ok(())
    }
}

/// Writes the name or the id of a topic.
fn put_topic(
    out: &mut Vec<u8>,
    version: i16,
    topic: Option<(&TopicName, Option<Uuid>)>,
) -> Result<()> {
    let Some((name, id)) = topic else {
        return Ok(());
    };
    if version < TOPIC_IDS_FROM {
        return put_str(out, Some(name), ApiKey::Fetch.is_flexible(version));
    }
    let Some(id) = id else {
        let what = "the topic's id is not known, but this version of the request needs it";
        return Err(Error::new(ErrorKind::State, what)
            .api("Fetch")
            .topic(name.clone()));
    };
    out.extend_from_slice(id.as_bytes());
    Ok(())
}

/// Writes one partition to fetch.
fn put_partition(out: &mut Vec<u8>, version: i16, partition: &FetchPartition) {
    put_i32(out, partition.partition.to_wire());
    if version >= 9 {
        put_i32(out, partition.leader_epoch.map_or(-1, LeaderEpoch::to_wire));
    }
    put_i64(out, partition.offset.to_wire());
    if version >= 12 {
        put_i32(
            out,
            partition
                .last_fetched_epoch
                .map_or(-1, LeaderEpoch::to_wire),
        );
    }
    if version >= 5 {
        put_i64(out, -1); // the log start offset: followers only
    }
    put_i32(out, size(partition.max_bytes));
    put_no_tags(out, ApiKey::Fetch.is_flexible(version));
}

/// Returns a size as the protocol has it, at most `i32::MAX`.
fn size(bytes: u32) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
