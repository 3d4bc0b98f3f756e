//! What a user commits: an offset with a note, and commits that go on by themselves.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, LeaderEpoch, Offset, Result, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::partition::{Committable, Partition};

/// Where a group is to resume a partition, as it is kept by the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The offset to resume at: one past the last record that is done.
    pub offset: Offset,
    /// The epoch of the leader that wrote the record before it, by which the next reader notices a cut log (KIP-320). `None` lets the
    /// consumer fill in what it knows.
    pub leader_epoch: Option<LeaderEpoch>,
    /// A text for people and tools; brokers take up to 4,096 bytes (`offset.metadata.max.bytes`).
    pub metadata: Arc<str>,
}

impl OffsetAndMetadata {
    /// The offset with a text beside it.
    pub fn new(offset: Offset, metadata: impl Into<Arc<str>>) -> Self {
        Self {
            offset,
            leader_epoch: None,
            metadata: metadata.into(),
        }
    }
}

impl From<Offset> for OffsetAndMetadata {
    fn from(offset: Offset) -> Self {
        Self::new(offset, "")
    }
}

/// A commit under way. It goes on when this is dropped; awaited, it tells how it ended.
///
/// What is committed this way within one round trip goes out as one request, with one result for all: of each partition what was named
/// last, or else the highest offset.
#[derive(Debug)]
#[must_use = "the commit goes on by itself, and only this tells whether it succeeded"]
pub struct PendingCommit(watch::Receiver<Option<Result<()>>>);

impl IntoFuture for PendingCommit {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.0.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(ended)) => ended.clone(),
                _ => Err(Error::new(
                    ErrorKind::Closed,
                    "the consumer ended before it committed",
                )),
            }
        })
    }
}

pub(crate) type Offsets = BTreeMap<TopicPartition, (Arc<Partition>, Committable)>;

/// What is to be committed by the commit task: never more than an offset for each partition.
#[derive(Default)]
pub(crate) struct Later {
    round: Mutex<Option<Round>>,
    /// Wakes the commit task.
    pub(crate) wanted: Notify,
}

/// Commits that go out together.
pub(crate) struct Round {
    pub(crate) offsets: Offsets,
    /// An error for partitions that went away before they could be committed.
    gone: Result<()>,
    told: watch::Sender<Option<Result<()>>>,
}

impl Later {
    /// Adds offsets to the next round: of each partition the newest, which is the highest that was not named by the user. `gone` is
    /// what is to be told though all goes well.
    pub(crate) fn add(
        &self,
        offsets: impl IntoIterator<Item = (Arc<Partition>, Committable)>,
        gone: Result<()>,
    ) -> PendingCommit {
        let mut round = self.round.lock();
        let round = round.get_or_insert_with(|| Round {
            offsets: BTreeMap::new(),
            gone: Ok(()),
            told: watch::Sender::new(None),
        });
        for (partition, offset) in offsets {
            let place = offset.place.clone();
            let newest = match round.offsets.remove(&place) {
                Some((before, known)) if Arc::ptr_eq(&before, &partition) => {
                    let due = partition.is_due(&known);
                    (partition, if due { newer(known, offset) } else { offset })
                }
                _ => (partition, offset),
            };
            round.offsets.insert(place, newest);
        }
        if round.gone.is_ok() {
            round.gone = gone;
        }
        self.wanted.notify_one();
        PendingCommit(round.told.subscribe())
    }

    pub(crate) fn take(&self) -> Option<Round> {
        self.round.lock().take()
    }
}

impl Round {
    pub(crate) fn ended(self, result: Result<()>) {
        self.told.send_replace(Some(result.and(self.gone)));
    }
}

/// What remains of two words about a partition: what the user named counts, and else the higher offset.
fn newer(known: Committable, word: Committable) -> Committable {
    if word.explicit || word.offset > known.offset {
        // What went out after an offset that goes back may be lower than what was committed before that.
        let explicit = word.explicit || known.explicit;
        return Committable { explicit, ..word };
    }
    Committable {
        word: word.word,
        ..known
    }
}
