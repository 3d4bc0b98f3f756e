//! Requests for a metadata refresh, and how the requesters wait for its end.

use std::sync::atomic::{AtomicU64, Ordering};

use milena_core::{CancelToken, Error};
use tokio::sync::{Notify, watch};

/// The counters and signals between the refresher task and those who request a refresh.
pub(crate) struct Signals {
    /// Number of requests for the whole metadata so far.
    whole: AtomicU64,
    /// Number of requests for single topics so far.
    part: AtomicU64,
    /// Wakes the refresher.
    pub(crate) wake: Notify,
    /// Cancelled when the cluster handle is closed or dropped. Ends the background tasks.
    pub(crate) closing: CancelToken,
    /// The refreshes that have ended. Written by the refresher, and at the end of the handle.
    done: watch::Sender<Done>,
}

/// A request for a refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The request with this number for the whole metadata.
    Whole(u64),
    /// The request with this number for single topics.
    Part(u64),
}

/// The refreshes that have ended, by kind.
#[derive(Clone, Default)]
struct Done {
    /// The last refresh of the whole metadata.
    whole: Ended,
    /// The last refresh of single topics.
    part: Ended,
}

/// The last refresh of one kind that has ended.
#[derive(Clone, Default)]
struct Ended {
    /// All requests up to this number were served or failed. `u64::MAX` once no refresh will come.
    number: u64,
    /// The error of that refresh. `None` if it succeeded.
    error: Option<Error>,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self {
            whole: AtomicU64::new(0),
            part: AtomicU64::new(0),
            wake: Notify::new(),
            closing: CancelToken::new(),
            done: watch::Sender::default(),
        }
    }

    /// Returns the number of the last request for the whole metadata.
    pub(crate) fn whole(&self) -> u64 {
        self.whole.load(Ordering::Acquire)
    }

    /// Returns the number of the last request for single topics.
    pub(crate) fn part(&self) -> u64 {
        self.part.load(Ordering::Acquire)
    }

    /// Requests a refresh of the whole metadata that starts after this call.
    pub(crate) fn ask_whole(&self) -> Asked {
        let number = self.whole.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        Asked::Whole(number)
    }

    /// Requests the topics noted before this call, in a refresh that starts after it.
    pub(crate) fn ask_part(&self) -> Asked {
        let number = self.part.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        Asked::Part(number)
    }

    /// Reports that all requests up to `asked` were served, or failed with `error`.
    pub(crate) fn end(&self, asked: Asked, error: Option<Error>) {
        self.done.send_modify(|done| {
            let (ended, number) = match asked {
                Asked::Whole(number) => (&mut done.whole, number),
                Asked::Part(number) => (&mut done.part, number),
            };
            // After `end_for_good`, later results are ignored.
            if ended.number < u64::MAX {
                ended.number = ended.number.max(number);
                ended.error = error;
            }
        });
    }

    /// Reports `error` to all requesters, now and in the future. There are no more refreshes.
    pub(crate) fn end_for_good(&self, error: &Error) {
        self.end(Asked::Whole(u64::MAX), Some(error.clone()));
        self.end(Asked::Part(u64::MAX), Some(error.clone()));
    }

    /// Waits until the request `asked` was served.
    ///
    /// # Errors
    /// The reason why the refresh failed.
    pub(crate) async fn served(&self, asked: Asked) -> Result<(), Error> {
        let mut done = self.done.subscribe();
        let of = |done: &Done| match asked {
            Asked::Whole(number) => (done.whole.clone(), number),
            Asked::Part(number) => (done.part.clone(), number),
        };
        let served = done.wait_for(|done| {
            let (ended, number) = of(done);
            ended.number >= number
        });
        match served.await {
            Ok(done) => of(&done).0.error.map_or(Ok(()), Err),
            // Cannot happen, because `self` holds the sender.
            Err(_) => Ok(()),
        }
    }
}
