//! A fetched batch that is checked and decompressed, to be read as views or as owned records.

use std::sync::Arc;

use milena_core::{ConsumerRecord, LeaderEpoch, Offset, RecordRef, Result, TopicPartition};
use milena_protocol::batch::{OwnedRecords, Records, owned_headers};

use crate::budget::Pinned;

/// A batch of fetched records of one partition, in order.
///
/// The batch shares memory with its fetch and counts against the consumer's `buffer_memory` until
/// it is dropped. [`ConsumerRecord::detach`] makes a copy that does not count.
#[derive(Debug)]
pub struct FetchBatch {
    /// The partition of the records.
    place: TopicPartition,
    /// All records of the batch, also those below `from`.
    records: Records,
    /// The first offset to return. Records below it were read before.
    from: Offset,
    /// The memory of the records, counted until the last record is dropped.
    pinned: Arc<Pinned>,
}

impl FetchBatch {
    /// Returns the topic and partition of the records.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.place
    }

    /// Returns the number of records in the batch. Records that were read before are counted too.
    #[must_use]
    pub fn count(&self) -> usize {
        self.records.count() as usize
    }

    /// Returns the offset behind the batch, where reading continues.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.records.header().next_offset()
    }

    /// Returns the epoch of the leader that appended the batch. `None` if the broker did not store
    /// it.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.records.header().leader_epoch
    }

    /// Returns the records as views of the fetched bytes, without allocating or copying. The
    /// fastest way to read.
    ///
    /// An error ends the iteration. The records before it are good.
    pub fn iter(&self) -> impl Iterator<Item = Result<RecordRef<'_>>> {
        let from = self.from;
        let unread = move |record: &Result<RecordRef<'_>>| match record {
            Ok(record) => record.offset >= from,
            Err(_) => true,
        };
        self.records
            .iter()
            .filter(unread)
            .map(|record| record.map_err(|error| error.at(&self.place)))
    }

    /// Returns the records as owned values that share the fetched bytes.
    pub fn records(&self) -> impl Iterator<Item = Result<ConsumerRecord>> + use<> {
        let mut rest = Rest::new(&self.records, self.from, &self.pinned);
        let place = self.place.clone();
        std::iter::from_fn(move || {
            let record = rest.next(&place)?;
            Some(record.map_err(|error| error.at(&place)))
        })
    }
}

/// An opened batch that a lane or a receiver is about to read.
#[derive(Debug)]
pub struct Opened {
    /// All records of the batch, also those below `from`.
    pub records: Records,
    /// The first offset that was not read yet.
    pub from: Offset,
    /// The turn of its reader in which the batch was fetched. The batch is stale once the reader
    /// has another one.
    pub turn: u64,
    /// The memory of the records, counted until the last record is dropped.
    pub pinned: Arc<Pinned>,
}

impl Opened {
    /// Returns the offset behind the batch.
    #[inline]
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.records.header().next_offset()
    }

    /// Returns the epoch of the leader that appended the batch. `None` if it is unknown.
    #[inline]
    #[must_use]
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        self.records.header().leader_epoch
    }

    /// Returns the records that were not read yet.
    #[must_use]
    pub fn rest(&self) -> Rest {
        Rest::new(&self.records, self.from, &self.pinned)
    }

    /// Turns it into the form that programs read.
    #[must_use]
    pub fn into_batch(self, place: &TopicPartition) -> FetchBatch {
        FetchBatch {
            place: place.clone(),
            records: self.records,
            from: self.from,
            pinned: self.pinned,
        }
    }
}

/// The records of a batch that were not read yet, one by one as owned values.
#[derive(Debug)]
pub struct Rest {
    /// The records that are left, in order.
    records: OwnedRecords,
    /// The leader epoch of the batch, copied into each record.
    epoch: Option<LeaderEpoch>,
}

impl Rest {
    /// Returns the records of a batch from `from` on.
    ///
    /// The records count references on the batch, not on the whole fetch. All lanes that read from
    /// one fetch would otherwise contend for one reference count. A record that is kept holds the
    /// memory of its batch, and that memory counts until the record is dropped.
    fn new(records: &Records, from: Offset, pinned: &Arc<Pinned>) -> Self {
        let epoch = records.header().leader_epoch;
        let mut records = records.held_by(Arc::clone(pinned)).owned();
        records.skip_to(from);
        Self { records, epoch }
    }

    /// Returns the next record of the partition at `place`. An error ends the batch. The error does
    /// not name the partition yet.
    #[inline(always)]
    pub fn next(&mut self, place: &TopicPartition) -> Option<Result<ConsumerRecord>> {
        let (record, body) = match self.records.next_view()? {
            Ok(view) => view,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(ConsumerRecord {
            topic: place.topic.clone(),
            partition: place.partition,
            offset: record.offset,
            leader_epoch: self.epoch,
            timestamp: record.timestamp,
            timestamp_type: record.timestamp_type,
            key: record.key.map(|key| body.slice_ref(key)),
            value: record.value.map(|value| body.slice_ref(value)),
            headers: owned_headers(record.headers, body),
        }))
    }
}
