//! The end of a run, and the handle that asks for it.

use milena_core::{CancelToken, Error, Reason};

/// The reason why a run cannot go on.
#[derive(Clone, Debug)]
pub enum End {
    /// The program closed the source.
    Closed,
    /// A handler asked for the end.
    Stopped(Reason),
    /// The run could not continue.
    Failed(Error),
}

/// The reason for an end without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// A [`ShutdownHandle`] or `close` asked for the end, or a source that ends has no more
    /// records.
    Shutdown,
    /// The handler answered [`Outcome::Stop`](milena_core::Outcome::Stop), for this reason.
    Stopped(Reason),
}

/// A handle that shuts a run down gracefully, from anywhere. Its clones end the same run.
#[derive(Clone, Debug, Default)]
pub struct ShutdownHandle {
    /// Cancelled to shut down gracefully.
    closing: CancelToken,
    /// Cancelled to end at once.
    at_once: CancelToken,
}

impl ShutdownHandle {
    /// Returns a handle over the tokens of a source. `closing` is cancelled for a graceful end, and
    /// `at_once` for an end without drain.
    #[must_use]
    pub const fn of(closing: CancelToken, at_once: CancelToken) -> Self {
        Self { closing, at_once }
    }

    /// Starts a graceful shutdown and returns without waiting. No more records go to handlers,
    /// lanes drain, offsets are committed, and the group is left. Then `run` returns its report.
    pub fn shutdown(&self) {
        self.closing.cancel();
    }

    /// Ends the run at once. Handlers are cut off and nothing more is committed. The next owner of
    /// the partitions reads again what was not committed.
    pub fn shutdown_now(&self) {
        self.closing.cancel();
        self.at_once.cancel();
    }

    /// Handles a signal to end, such as Ctrl-C. The first call is a [`shutdown`](Self::shutdown),
    /// the second a [`shutdown_now`](Self::shutdown_now).
    pub fn signal(&self) {
        if self.closing.is_cancelled() {
            self.at_once.cancel();
        }
        self.closing.cancel();
    }

    /// Returns true once a shutdown was asked for.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.closing.is_cancelled()
    }
}
