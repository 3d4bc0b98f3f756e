//! How a renewal of the picture is asked for, and how who asked hears of its end.

use std::sync::atomic::{AtomicU64, Ordering};

use milena_core::{CancelToken, Error};
use tokio::sync::{Notify, watch};

/// What the refresher listens to, and what it tells.
pub(crate) struct Signals {
    /// How often the whole picture was asked for.
    whole: AtomicU64,
    /// How often single topics were asked for.
    part: AtomicU64,
    pub(crate) wake: Notify,
    pub(crate) closing: CancelToken,
    done: watch::Sender<Done>,
}

/// What was asked for of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// All of it, by the number of the asking.
    Whole(u64),
    /// Single topics, by the number of the asking.
    Part(u64),
}

/// The renewals that ended.
#[derive(Clone, Default)]
struct Done {
    whole: Ended,
    part: Ended,
}

/// The last renewal of a kind that ended: all asked for up to `number` are served by it.
#[derive(Clone, Default)]
struct Ended {
    number: u64,
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

    /// The number of the last asking for the whole picture.
    pub(crate) fn whole(&self) -> u64 {
        self.whole.load(Ordering::Acquire)
    }

    /// The number of the last asking for single topics.
    pub(crate) fn part(&self) -> u64 {
        self.part.load(Ordering::Acquire)
    }

    /// Asks for a renewal of the whole picture that starts after now.
    pub(crate) fn ask_whole(&self) -> Asked {
        let number = self.whole.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        Asked::Whole(number)
    }

    /// Asks for the topics that were noted before this call, in a request that starts after now.
    pub(crate) fn ask_part(&self) -> Asked {
        let number = self.part.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake.notify_one();
        Asked::Part(number)
    }

    /// Tells that all that was asked for up to `asked` is served, or failed.
    pub(crate) fn end(&self, asked: Asked, error: Option<Error>) {
        self.done.send_modify(|done| {
            let (ended, number) = match asked {
                Asked::Whole(number) => (&mut done.whole, number),
                Asked::Part(number) => (&mut done.part, number),
            };
            // After the last word nothing more is said.
            if ended.number < u64::MAX {
                ended.number = ended.number.max(number);
                ended.error = error;
            }
        });
    }

    /// Tells everybody, now and later, that there are no more renewals.
    pub(crate) fn end_for_good(&self, error: &Error) {
        self.end(Asked::Whole(u64::MAX), Some(error.clone()));
        self.end(Asked::Part(u64::MAX), Some(error.clone()));
    }

    /// Waits until `asked` is served.
    ///
    /// # Errors
    /// Why it failed.
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
            // The sender lives in `self`.
            Err(_) => Ok(()),
        }
    }
}
