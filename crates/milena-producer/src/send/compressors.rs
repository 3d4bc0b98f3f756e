//! Compresses large batches beside the sender, on a few threads for all partitions.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

/// The threads that compress batches, and the batches that wait for one.
///
/// A thread takes one batch after the other until none is left. With a thread per batch, the work
/// would wander over the runtime's blocking threads, and each would begin with a cold table of
/// matches.
pub(super) struct Compressors<D> {
    /// The most threads at work at once.
    most: usize,
    /// The batches that wait, and the threads at work.
    state: Arc<Mutex<JobQueue<D>>>,
    /// The way back to the send task.
    done: mpsc::UnboundedSender<D>,
}

/// The work on one batch. It returns what the send task gets.
type Job<D> = Box<dyn FnOnce() -> D + Send>;

/// The work that waits for a thread.
struct JobQueue<D> {
    /// The work that no thread has begun, oldest first.
    waiting: VecDeque<Job<D>>,
    /// Threads at work. A thread counts until it has found `waiting` empty.
    active: usize,
}

impl<D: Send + 'static> Compressors<D> {
    /// Creates the compressors for a machine with this many cores, and the receiver of the finished
    /// work. The budget of unsent records bounds how much work there is.
    pub(super) fn new(cores: usize) -> (Self, mpsc::UnboundedReceiver<D>) {
        let (done, finished) = mpsc::unbounded_channel();
        let compressors = Self {
            most: cores.max(1),
            state: Arc::new(Mutex::new(JobQueue {
                waiting: VecDeque::new(),
                active: 0,
            })),
            done,
        };
        (compressors, finished)
    }

    /// Runs `job` on one of the threads, and sends `finish` of its result to the sender. The result
    /// is `None` if the job panicked.
    pub(super) fn run<T>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        finish: impl FnOnce(Option<T>) -> D + Send + 'static,
    ) {
        let job = Box::new(move || finish(catch_unwind(AssertUnwindSafe(job)).ok()));
        {
            let mut state = self.state.lock();
            state.waiting.push_back(job);
            if state.active >= self.most {
                return;
            }
            state.active += 1;
        }
        let (state, done) = (Arc::clone(&self.state), self.done.clone());
        drop(tokio::task::spawn_blocking(move || {
            while let Some(job) = next(&state) {
                // The sender may have ended. Its batches have their outcome then.
                let _ = done.send(job());
            }
        }));
    }
}

impl<D> Drop for Compressors<D> {
    /// Drops the work that no thread has begun. A runtime that shuts down would wait for it.
    fn drop(&mut self) {
        let waiting = std::mem::take(&mut self.state.lock().waiting);
        drop(waiting);
    }
}

/// Returns the work whose turn it is. `None` ends the calling thread.
fn next<D>(state: &Mutex<JobQueue<D>>) -> Option<Job<D>> {
    let mut state = state.lock();
    let next = state.waiting.pop_front();
    if next.is_none() {
        state.active -= 1;
    }
    next
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as threads;
    use std::time::Duration;

    use super::*;

    /// Returns a job that waits for a word on `go` before it ends.
    fn held(go: threads::Receiver<()>) -> impl FnOnce() + Send {
        move || go.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    #[tokio::test]
    async fn no_more_batches_than_cores_are_compressed_at_once() {
        let (compressors, mut finished) = Compressors::new(1);
        let (go, gate) = threads::channel();
        compressors.run(held(gate), |_| ());
        let (began, beginning) = threads::channel();
        compressors.run(move || began.send(()).unwrap(), |_| ());
        assert_eq!(compressors.state.lock().active, 1);
        assert!(beginning.try_recv().is_err());
        go.send(()).unwrap();
        assert!(finished.recv().await.is_some());
        assert!(finished.recv().await.is_some());
        beginning.try_recv().unwrap();
    }

    #[tokio::test]
    async fn a_panic_ends_one_batch_and_not_the_thread() {
        let (compressors, mut finished) = Compressors::new(1);
        let (told, outcome) = threads::channel();
        let ended = told.clone();
        compressors.run(
            || -> u8 { panic!("no such table") },
            move |result| {
                ended.send(result).unwrap();
            },
        );
        compressors.run(
            || 7_u8,
            move |result| {
                told.send(result).unwrap();
            },
        );
        finished.recv().await;
        finished.recv().await;
        assert_eq!([outcome.recv(), outcome.recv()], [Ok(None), Ok(Some(7))]);
    }

    #[tokio::test]
    async fn work_that_nobody_has_begun_ends_with_the_sender() {
        let (compressors, finished) = Compressors::new(1);
        let (go, gate) = threads::channel();
        let (first, begun) = threads::channel();
        let hold = held(gate);
        let job = move || {
            first.send(()).unwrap();
            hold();
        };
        compressors.run(job, |_| ());
        begun.recv_timeout(Duration::from_secs(60)).unwrap();
        let (began, beginning) = threads::channel();
        compressors.run(move || began.send(()).unwrap(), |_| ());
        drop((compressors, finished));
        go.send(()).unwrap();
        // The job was dropped, and with it the sender of this channel.
        assert!(beginning.recv_timeout(Duration::from_secs(60)).is_err());
    }
}
