//! A fetched batch, opened: checked, decompressed, and read as views or as owned records.

use std::sync::Arc;

use milena_core::{
    ConsumerRecord, Error, ErrorKind, LeaderEpoch, Offset, RecordRef, Result, TopicPartition,
};
use milena_protocol::batch::{OwnedRecord, OwnedRecords, Records};
use milena_protocol::compression::Codec;

use crate::budget::Pinned;
use crate::core::Core;
use crate::partition::{Partition, Pulled};

/// A batch of fetched records of one partition, in order.
///
/// It shares the memory of the fetch that brought it, and counts against the consumer's `buffer_memory` until it is dropped;
/// [`ConsumerRecord::detach`] makes a copy that does not.
#[derive(Debug)]
pub struct FetchBatch {
    place: TopicPartition,
    records: Records,
    from: Offset,
    _pinned: Arc<Pinned>,
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
        let from = self.from;
        let place = self.place.clone();
        let epoch = self.leader_epoch();
        self.records.owned().filter_map(move |record| match record {
            Ok(record) if record.offset < from => None,
            Ok(record) => Some(Ok(consumer_record(&place, epoch, record))),
            Err(error) => Some(Err(error.at(&place))),
        })
    }
}

/// A batch on its way to lanes or a receiver.
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

    pub(crate) fn owned(&self) -> OwnedRecords {
        self.records.owned()
    }

    pub(crate) fn into_batch(self, place: &TopicPartition) -> FetchBatch {
        FetchBatch {
            place: place.clone(),
            records: self.records,
            from: self.from,
            _pinned: self.pinned,
        }
    }
}

/// Checks and decompresses the next batch of `partition`, if one is there; a large compressed one on a thread of its own.
///
/// # Errors
/// What is wrong with the batch, with its place; it is fetched again then.
///
/// # Cancel safety
/// Dropped, the batch is fetched again.
pub(crate) async fn open(core: &Core, partition: &Partition) -> Result<Option<Opened>> {
    let Some(pulled) = partition.pull()? else {
        return Ok(None);
    };
    let refetch = Refetch(Some((partition, pulled.turn)));
    let Pulled {
        batch,
        from,
        turn,
        pinned,
    } = pulled;
    let check = core.settings.check_crcs;
    let cap = core.settings.max_batch_size;
    let apart =
        batch.bytes().len() >= APART && batch.header().attributes.codec() != Some(Codec::None);
    let unpack = move || {
        if check {
            batch.verify_crc()?;
        }
        batch.records(cap)
    };
    let opened = if apart {
        let permit = Arc::clone(&core.decompressing).acquire_owned().await;
        let ended = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            unpack()
        });
        ended.await.unwrap_or_else(|cause| {
            let what = "a batch could not be decompressed";
            Err(Error::new(ErrorKind::State, what).with_source(cause))
        })
    } else {
        unpack()
    };
    let records = opened.map_err(|error| error.at(partition.place()))?;
    refetch.done();
    Ok(Some(Opened {
        records,
        from,
        turn,
        pinned,
    }))
}

pub(crate) fn consumer_record(
    place: &TopicPartition,
    leader_epoch: Option<LeaderEpoch>,
    record: OwnedRecord,
) -> ConsumerRecord {
    ConsumerRecord {
        topic: place.topic.clone(),
        partition: place.partition,
        offset: record.offset,
        leader_epoch,
        timestamp: record.timestamp,
        timestamp_type: record.timestamp_type,
        key: record.key,
        value: record.value,
        headers: record.headers,
    }
}

/// Fetches the pulled batch again unless it was opened.
struct Refetch<'a>(Option<(&'a Partition, u64)>);

impl Refetch<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Refetch<'_> {
    fn drop(&mut self) {
        if let Some((partition, turn)) = self.0 {
            partition.refetch(turn);
        }
    }
}

/// Compressed batches from this size on, in bytes, are unpacked beside the task that reads them.
const APART: usize = 32 << 10;
