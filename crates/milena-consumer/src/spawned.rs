//! A consumer that runs in a task of its own, next to a server or other consumers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{Error, ErrorKind, Result};
use milena_lanes::ShutdownHandle;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use crate::run::RunReport;

/// A consumer that runs in a task of its own. Made by [`Consumer::spawn`](crate::Consumer::spawn).
///
/// It is a future of the run's report. Await it to wait for the end, or poll it by `&mut` in a
/// `select!`. Once the run has ended, each poll returns the same report. An error or a panic of the
/// run is logged when it happens, and is also returned here.
///
/// If this is dropped, the consumer shuts down gracefully in the background.
#[must_use = "the consumer shuts down when this is dropped"]
pub struct RunningConsumer {
    /// Ends the consumer when this is dropped or stopped.
    stop: ShutdownHandle,
    /// The task, or its result.
    state: RunState,
}

/// The task of the run, or its result once it was polled to the end.
enum RunState {
    Running(JoinHandle<Result<RunReport>>),
    Ended(Result<RunReport>),
}

impl RunningConsumer {
    /// Spawns the run. Outside a tokio runtime, it has ended with an error that says so.
    pub(crate) fn start(
        run: impl Future<Output = Result<RunReport>> + Send + 'static,
        group: Arc<str>,
        stop: ShutdownHandle,
    ) -> Self {
        let state = match Handle::try_current() {
            Ok(runtime) => RunState::Running(runtime.spawn(async move {
                let _told = Panicked(group);
                run.await
            })),
            Err(cause) => {
                let what = "a consumer must be used inside a tokio runtime";
                RunState::Ended(Err(Error::new(ErrorKind::State, what).with_source(cause)))
            }
        };
        Self { stop, state }
    }

    /// Starts a graceful shutdown and returns without waiting. See [`ShutdownHandle::shutdown`].
    pub fn shutdown(&self) {
        self.stop.shutdown();
    }

    /// Returns a handle that shuts the consumer down gracefully, from anywhere.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.stop.clone()
    }

    /// Returns true if the run has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.state {
            RunState::Running(task) => task.is_finished(),
            RunState::Ended(_) => true,
        }
    }

    /// Shuts down gracefully and waits for the end. No more records go to handlers, lanes drain,
    /// offsets are committed, and the group is left.
    ///
    /// # Errors
    /// As for [`Consumer::run`](crate::Consumer::run). [`ErrorKind::State`] if the run panicked.
    ///
    /// # Cancel safety
    /// If the future is dropped, the consumer shuts down nevertheless.
    pub async fn stop(mut self) -> Result<RunReport> {
        self.stop.shutdown();
        (&mut self).await
    }
}

impl Future for RunningConsumer {
    type Output = Result<RunReport>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = match &mut self.state {
            RunState::Ended(ended) => return Poll::Ready(ended.clone()),
            RunState::Running(task) => task,
        };
        let Poll::Ready(joined) = Pin::new(task).poll(cx) else {
            return Poll::Pending;
        };
        let ended = joined.unwrap_or_else(|cause| Err(cut_off(cause)));
        self.state = RunState::Ended(ended.clone());
        Poll::Ready(ended)
    }
}

/// Returns the error for a task that panicked or was aborted.
fn cut_off(cause: JoinError) -> Error {
    let what = match cause.is_panic() {
        true => "the consumer's run panicked",
        false => "the consumer's task was aborted, since its tokio runtime shuts down",
    };
    Error::new(ErrorKind::State, what).with_source(cause)
}

impl Drop for RunningConsumer {
    fn drop(&mut self) {
        self.stop.shutdown();
    }
}

impl fmt::Debug for RunningConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningConsumer")
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Guard that logs a panic of the run, even if the handle was dropped. Holds the group's name.
struct Panicked(Arc<str>);

impl Drop for Panicked {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(group = &*self.0, "the consumer's run panicked");
        }
    }
}
