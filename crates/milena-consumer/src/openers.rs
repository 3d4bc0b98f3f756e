//! Opens large compressed batches beside their readers, on a few threads for all partitions.

use std::collections::VecDeque;
use std::sync::Arc;

use milena_core::{Error, ErrorKind};
use milena_lanes::contained;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::core::Core;
use crate::partition::{Bad, BatchEnd, Partition};
use crate::unpack::unpack;

/// The threads that open batches, and the partitions that have some for them.
///
/// A reader that finds a batch of which no opener has begun opens it itself, unless it is huge. So
/// nothing waits for a thread while its own could do the work, and all cores share it when there is
/// much of it.
pub(crate) struct Openers {
    /// The most threads that open at once.
    most: usize,
    /// The partitions to look at, and the threads that do.
    state: Mutex<OpenerQueue>,
}

#[derive(Default)]
struct OpenerQueue {
    /// Partitions with batches that wait for an opener. Each is listed once, since a partition is
    /// added again only after an opener has found nothing in it.
    partitions: VecDeque<Arc<Partition>>,
    /// Threads at work.
    active: usize,
}

impl Openers {
    /// Creates the openers for a machine with this many cores. One core is left to the readers.
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            most: cores.saturating_sub(1).max(1),
            state: Mutex::default(),
        }
    }

    /// Has the batches of `partition` opened that wait for it.
    pub(crate) fn add(core: &Arc<Core>, runtime: &Handle, partition: &Arc<Partition>) {
        let openers = &core.openers;
        {
            let mut state = openers.state.lock();
            state.partitions.push_back(Arc::clone(partition));
            if state.active >= openers.most {
                return;
            }
            state.active += 1;
        }
        let core = Arc::clone(core);
        drop(runtime.spawn_blocking(move || {
            while let Some(partition) = core.openers.next() {
                open_one(&core, &partition);
            }
        }));
    }

    /// Returns the partition whose turn it is. `None` ends the calling thread.
    fn next(&self) -> Option<Arc<Partition>> {
        let mut state = self.state.lock();
        let next = state.partitions.pop_front();
        if next.is_none() {
            state.active -= 1;
        }
        next
    }
}

/// Opens one batch of `partition`, and lists the partition again behind the others.
fn open_one(core: &Core, partition: &Arc<Partition>) {
    let Some(closed) = partition.take_waiting() else {
        return;
    };
    if partition.opened(&closed, opened(|| unpack(core, &closed))) {
        core.ready.notify_waiters();
    }
    let mut state = core.openers.state.lock();
    state.partitions.push_back(Arc::clone(partition));
}

/// Runs `opening` and turns a panic into a batch that cannot be read. Otherwise the reader would
/// wait for the batch for ever.
fn opened<T>(opening: impl FnOnce() -> Result<T, Bad>) -> Result<T, Bad> {
    contained("the opening of a batch", opening).unwrap_or_else(|error| {
        Err(Bad {
            error: Error::new(ErrorKind::Decode, error.message().to_owned()),
            end: BatchEnd::Unknown,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_whose_opening_panics_cannot_be_read() {
        let bad = opened(|| -> Result<(), Bad> { panic!("no such table") });
        let error = bad.unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.message().ends_with("panicked: no such table"));
        assert_eq!(opened(|| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn a_machine_of_one_core_has_an_opener_too() {
        assert_eq!(Openers::new(1).most, 1);
        assert_eq!(Openers::new(8).most, 7);
    }
}
