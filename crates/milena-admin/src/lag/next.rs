//! The next record that a group reads: if there is one, and its timestamp.

use milena_core::{Error, ErrorKind, Offset, Result, Timestamp, TopicPartition};
use milena_pool::Target;
use milena_protocol::batch::Batches;
use milena_protocol::compression::DEFAULT_MAX_SIZE;
use milena_protocol::messages::FetchRequest;
use milena_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use uuid::Uuid;

use crate::admin::Admin;
use crate::answers::{check, unanswered, wire_name};

/// The records between a committed offset and the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is a record. It holds the record's timestamp, `None` if the record has none.
    Record(Option<Timestamp>),
    /// There is no record, only transaction markers or batches that compaction has emptied.
    Nothing,
    /// The first batches hold no record, and later ones were not read.
    Unknown,
}

impl Admin {
    /// Looks for the first record at or after `offset` and before `end`.
    pub(super) async fn next_record(
        &self,
        place: &TopicPartition,
        mut offset: Offset,
        end: Offset,
        id: Option<Uuid>,
    ) -> Result<Next> {
        for _ in 0..BATCHES {
            match self.batch_at(place, offset, id).await? {
                Read::Record(time) => return Ok(Next::Record(time)),
                Read::Empty(next) if next >= end => return Ok(Next::Nothing),
                Read::Empty(next) if next > offset => offset = next,
                Read::Empty(_) => return Ok(Next::Unknown),
            }
        }
        Ok(Next::Unknown)
    }

    /// Reads the batch that holds `offset`, or the first batch after it.
    async fn batch_at(
        &self,
        place: &TopicPartition,
        offset: Offset,
        id: Option<Uuid>,
    ) -> Result<Read> {
        let build = |version: i16| {
            // A broker returns the first batch as a whole, even if the limit is one byte (KIP-74).
            let partition = FetchPartition::default()
                .with_partition(place.partition.to_wire())
                .with_current_leader_epoch(-1)
                .with_fetch_offset(offset.to_wire())
                .with_partition_max_bytes(1);
            let topic = FetchTopic::default().with_partitions(vec![partition]);
            let topic = match (version, id) {
                (..13, _) => topic.with_topic(wire_name(&place.topic)),
                (_, Some(id)) => topic.with_topic_id(id),
                (_, None) => {
                    let what = "the topic's id is not known";
                    return Err(Error::new(ErrorKind::State, what));
                }
            };
            Ok(FetchRequest::default()
                .with_replica_id((-1).into())
                .with_session_epoch(-1)
                .with_max_bytes(1)
                .with_topics(vec![topic]))
        };
        self.cluster.want_topics([place.topic.clone()]);
        let answer = self.ask(&Target::Leader(place.clone()), build).await?;
        check(answer.error_code, None, "Fetch")?;
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let told = partitions.next().ok_or_else(|| unanswered("Fetch"))?;
        check(told.error_code, None, "Fetch")?;
        let mut next = offset;
        let Some(records) = told.records.clone() else {
            return Ok(Read::Empty(next));
        };
        for batch in Batches::new(records) {
            let batch = batch?;
            next = batch.next_offset();
            if batch.is_control() {
                continue;
            }
            let records = batch.records(DEFAULT_MAX_SIZE)?;
            for record in records.iter() {
                let record = record?;
                if record.offset >= offset {
                    return Ok(Read::Record(record.timestamp));
                }
            }
        }
        Ok(Read::Empty(next))
    }
}

/// The content of a batch.
enum Read {
    /// A record at or after the offset, with its timestamp.
    Record(Option<Timestamp>),
    /// No record at or after the offset. The next batch begins here.
    Empty(Offset),
}

/// The most batches without a record that are read.
const BATCHES: usize = 16;
