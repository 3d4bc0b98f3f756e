//! A fetched batch, opened: read as views or as owned records.

use std::sync::Arc;

use milena_core::{ConsumerRecord, LeaderEpoch, Offset, RecordRef, Result, TopicPartition};
use milena_protocol::batch::{OwnedRecords, Records, owned_headers};

use crate::budget::Pinned;

/// A batch of fetched records of one partition, in order.
///
/// It shares the memory of the fetch that brought it, and counts against the consumer's `buffer_memory` until it is dropped;
/// [`ConsumerRecord::detach`] makes a copy that does not.
#[derive(Debug)]
pub struct FetchBatch {
    place: TopicPartition,
    records: Records,
    from: Offset,
    pinned: Arc<Pinned>,
}

impl FetchBatch {
    /// Where the records come from.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.place
    }

    /// How many records the batch holds, those that were read before included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.records.count() as usize
    }

    /// The offset behind the batch, where reading goes on.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.records.header().next_offset()
    }

    /// The epoch of the leader that appended the batch, where known.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.records.header().leader_epoch
    }

    /// The records as views of the fetched bytes: nothing is allocated or copied. The fastest way to read.
    ///
    /// An error ends the iteration; the records before it are good.
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

    /// The records as owned values that share the fetched bytes.
    pub fn records(&self) -> impl Iterator<Item = Result<ConsumerRecord>> + use<> {
        let mut rest = Rest::new(&self.records, self.from, &self.pinned);
        let place = self.place.clone();
        std::iter::from_fn(move || {
            let record = rest.next(&place)?;
            Some(record.map_err(|error| error.at(&place)))
        })
    }
}

/// A batch on its way to lanes or a receiver.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) records: Records,
    pub(crate) from: Offset,
    pub(crate) turn: u64,
    pub(crate) pinned: Arc<Pinned>,
}

impl Opened {
    pub(crate) fn next_offset(&self) -> Offset {
        self.records.header().next_offset()
    }

    pub(crate) fn epoch(&self) -> Option<LeaderEpoch> {
        self.records.header().leader_epoch
    }

    pub(crate) fn rest(&self) -> Rest {
        Rest::new(&self.records, self.from, &self.pinned)
    }

    pub(crate) fn into_batch(self, place: &TopicPartition) -> FetchBatch {
        FetchBatch {
            place: place.clone(),
            records: self.records,
            from: self.from,
            pinned: self.pinned,
        }
    }
}

/// The records of a batch that were not read yet, one by one, as owned values.
pub(crate) struct Rest {
    records: OwnedRecords,
    epoch: Option<LeaderEpoch>,
}

impl Rest {
    /// Slices are counted by the batch: slices of the fetch itself would have the lanes of all its partitions contend for one count.
    /// Whoever keeps a record keeps its batch's memory, which counts until then.
    fn new(records: &Records, from: Offset, pinned: &Arc<Pinned>) -> Self {
        let epoch = records.header().leader_epoch;
        let mut records = records.held_by(Arc::clone(pinned)).owned();
        records.skip_to(from);
        Self { records, epoch }
    }

    /// The next record, of the partition at `place`; an error, which has no place yet, ends the batch.
    #[inline(always)]
    pub(crate) fn next(&mut self, place: &TopicPartition) -> Option<Result<ConsumerRecord>> {
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
