//! Commits that continue in the background.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use crate::partition::{Committable, Committing, Partition};

/// A commit in progress. Await it for its result. It continues if this is dropped.
///
/// All commits of this kind within one round trip are sent as one request and share one result. The
/// request has one offset per partition. That is the offset that the user named last, or otherwise
/// the highest one.
#[derive(Debug)]
#[must_use = "the commit continues if this is dropped, but only this returns its result"]
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

/// The offsets of one round, one per partition.
pub(crate) type Offsets = BTreeMap<TopicPartition, (Arc<Partition>, Committable)>;

/// Offsets that the commit task is to commit. Holds at most one offset per partition.
#[derive(Default)]
pub(crate) struct Later {
    /// The round that collects offsets now. `None` while nothing is to be committed. The commit
    /// task takes it out.
    round: Mutex<Option<Round>>,
    /// Wakes the commit task.
    pub(crate) wanted: Notify,
}

/// Offsets that are committed together, with one result.
pub(crate) struct Round {
    /// The newest offset of each partition.
    pub(crate) offsets: Offsets,
    /// The error to report even if the commit succeeds, for partitions that were revoked before
    /// they could be committed.
    gone: Result<()>,
    /// The result for all who wait. `None` until the commit has ended.
    told: watch::Sender<Option<Result<()>>>,
}

impl Later {
    /// Adds offsets to the next round and returns a future of the round's result.
    ///
    /// For each partition the round keeps the newest offset. That is the offset that the user named
    /// last, or otherwise the highest one. `gone` is an error to report even if the commit
    /// succeeds.
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
                // The older offset is of the same assignment. A seek may have made it stale
                // meanwhile.
                Some((before, known)) if Arc::ptr_eq(&before, &partition) => {
                    let due = Committing::of(&partition).is_due(&known);
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

    /// Takes the round to commit it now. `None` if there is nothing to commit.
    pub(crate) fn take(&self) -> Option<Round> {
        self.round.lock().take()
    }
}

impl Round {
    /// Reports the result to all who wait. An error of the commit is reported before that of
    /// `gone`.
    pub(crate) fn ended(self, result: Result<()>) {
        self.told.send_replace(Some(result.and(self.gone)));
    }
}

/// Merges two offsets to commit for one partition. An offset that the user named replaces the
/// other. Otherwise the higher one is kept.
fn newer(known: Committable, word: Committable) -> Committable {
    if word.explicit || word.offset > known.offset {
        // Stays explicit if the older one was. The named offset may have moved back, so this one
        // may be lower than what is committed, and must be sent nevertheless.
        let explicit = word.explicit || known.explicit;
        return Committable { explicit, ..word };
    }
    Committable {
        word: word.word,
        ..known
    }
}
