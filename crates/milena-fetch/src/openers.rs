//! Opens large compressed batches beside their readers, on a few threads for all partitions.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use milena_core::{Error, ErrorKind, panic_text};
use milena_protocol::batch::Records;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::budget::Pinned;
use crate::closed::{Bad, BatchEnd, Closed};
use crate::unpack::Unpacker;

/// A reader, such as a partition, that has batches for the openers.
pub trait Openable: Send + Sync + 'static {
    /// Takes the next batch that waits for an opener. Returns `None` if none does. The reader then
    /// has to be added to the openers again once a batch waits.
    fn take_waiting(&self) -> Option<Closed>;

    /// Stores the result of opening `closed`. Returns true if somebody may have waited for it.
    fn opened(&self, closed: &Closed, opened: Result<(Records, Arc<Pinned>), Bad>) -> bool;
}

/// The threads that open batches, and the readers that have some for them.
///
/// A reader that finds a batch which no opener has begun opens it itself, unless it is huge. So
/// nothing waits for a thread while its own could do the work, and all cores share it when there is
/// much of it.
#[derive(Debug)]
pub struct Openers<R> {
    /// The most threads that open at once.
    most: usize,
    /// Checks and decompresses the batches.
    unpacker: Unpacker,
    /// Notified when a batch is open that somebody may have waited for.
    ready: Arc<Notify>,
    /// The readers to look at, and the threads that do.
    state: Mutex<OpenerQueue<R>>,
}

#[derive(Debug)]
/// The work of the openers.
struct OpenerQueue<R> {
    /// Readers with batches that wait for an opener. Each is listed once, since a reader is added
    /// again only after an opener has found nothing in it.
    readers: VecDeque<Arc<R>>,
    /// Threads at work.
    active: usize,
}

impl<R: Openable> Openers<R> {
    /// Creates the openers for a machine with this many cores. One core is left to the readers.
    /// They notify `ready` when a batch is open that somebody may have waited for.
    #[must_use]
    pub fn new(cores: usize, unpacker: Unpacker, ready: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            most: cores.saturating_sub(1).max(1),
            unpacker,
            ready,
            state: Mutex::new(OpenerQueue {
                readers: VecDeque::new(),
                active: 0,
            }),
        })
    }

    /// Returns the rules by which batches are opened.
    #[must_use]
    pub fn unpacker(&self) -> &Unpacker {
        &self.unpacker
    }

    /// Lets threads of `runtime` open the batches of `reader` that wait.
    pub fn add(self: &Arc<Self>, runtime: &Handle, reader: &Arc<R>) {
        {
            let mut state = self.state.lock();
            state.readers.push_back(Arc::clone(reader));
            if state.active >= self.most {
                return;
            }
            state.active += 1;
        }
        let openers = Arc::clone(self);
        drop(runtime.spawn_blocking(move || {
            while let Some(reader) = openers.next() {
                openers.open_one(&reader);
            }
        }));
    }

    /// Returns the reader whose turn it is. `None` ends the calling thread.
    fn next(&self) -> Option<Arc<R>> {
        let mut state = self.state.lock();
        let next = state.readers.pop_front();
        if next.is_none() {
            state.active -= 1;
        }
        next
    }

    /// Opens one batch of `reader`, and lists the reader again behind the others.
    fn open_one(&self, reader: &Arc<R>) {
        let Some(closed) = reader.take_waiting() else {
            return;
        };
        if reader.opened(&closed, opened(|| self.unpacker.unpack(&closed))) {
            self.ready.notify_waiters();
        }
        self.state.lock().readers.push_back(Arc::clone(reader));
    }
}

/// Runs `opening` and turns a panic into a batch that cannot be read. Otherwise the reader would
/// wait for the batch for ever.
fn opened<T>(opening: impl FnOnce() -> Result<T, Bad>) -> Result<T, Bad> {
    catch_unwind(AssertUnwindSafe(opening)).unwrap_or_else(|panic| {
        // The text of an assertion has several lines, and an error has one.
        let text = panic_text(&*panic);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        let what = format!("the opening of a batch panicked: {}", lines.join(", "));
        Err(Bad {
            error: Error::new(ErrorKind::Decode, what),
            end: BatchEnd::Unknown,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;

    /// A reader that never has a batch.
    struct NoBatches;

    impl Openable for NoBatches {
        fn take_waiting(&self) -> Option<Closed> {
            None
        }

        fn opened(&self, _: &Closed, _: Result<(Records, Arc<Pinned>), Bad>) -> bool {
            false
        }
    }

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
        let most = |cores| {
            let budget = Budget::new(1 << 20, Arc::default());
            let unpacker = Unpacker::new(true, 1 << 20, budget);
            Openers::<NoBatches>::new(cores, unpacker, Arc::default()).most
        };
        assert_eq!(most(1), 1);
        assert_eq!(most(8), 7);
    }
}
