//! A consumer that runs in a task of its own, beside a server or beside other consumers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

use crate::run::{RunReport, ShutdownHandle};

/// A consumer at work in a task of its own; made by [`Consumer::spawn`](crate::Consumer::spawn).
///
/// It is a future of the run's report. Await it to wait for the end, or poll it by `&mut` in a `select!`; once ended, it
/// gives the same report again. An error and a panic of the run are logged when they happen, and are told here.
///
/// Dropped, the consumer shuts down in good order by itself, and nobody waits for it.
#[must_use = "dropped, the consumer shuts down"]
pub struct RunningConsumer {
    stop: ShutdownHandle,
    state: State,
}

enum State {
    Running(JoinHandle<Result<RunReport>>),
    Ended(Result<RunReport>),
}

impl RunningConsumer {
    /// Runs it; without a runtime around, it has ended with an error that says so.
    pub(crate) fn start(
        run: impl Future<Output = Result<RunReport>> + Send + 'static,
        group: Arc<str>,
        stop: ShutdownHandle,
    ) -> Self {
        let state = match Handle::try_current() {
            Ok(runtime) => State::Running(runtime.spawn(async move {
                let _told = Panicked(group);
                run.await
            })),
            Err(cause) => {
                let what = "a consumer needs a tokio runtime around it";
                State::Ended(Err(Error::new(ErrorKind::State, what).with_source(cause)))
            }
        };
        Self { stop, state }
    }

    /// Asks for the end and does not wait; see [`ShutdownHandle::shutdown`].
    pub fn shutdown(&self) {
        self.stop.shutdown();
    }

    /// A handle that ends the consumer in good order, from anywhere.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.stop.clone()
    }

    /// Whether the run has ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.state {
            State::Running(task) => task.is_finished(),
            State::Ended(_) => true,
        }
    }

    /// Asks for the end and waits for it: no record is dispatched any more, lanes drain, offsets are committed, the group is
    /// left.
    ///
    /// # Errors
    /// As [`Consumer::run`](crate::Consumer::run); [`ErrorKind::State`] where the run panicked.
    ///
    /// # Cancel safety
    /// Dropped, the consumer shuts down all the same.
    pub async fn stop(mut self) -> Result<RunReport> {
        self.stop.shutdown();
        (&mut self).await
    }
}

impl Future for RunningConsumer {
    type Output = Result<RunReport>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = match &mut self.state {
            State::Ended(ended) => return Poll::Ready(ended.clone()),
            State::Running(task) => task,
        };
        let Poll::Ready(joined) = Pin::new(task).poll(cx) else {
            return Poll::Pending;
        };
        let ended = joined.unwrap_or_else(|cause| Err(cut_off(cause)));
        self.state = State::Ended(ended.clone());
        Poll::Ready(ended)
    }
}

fn cut_off(cause: JoinError) -> Error {
    let what = match cause.is_panic() {
        true => "the consumer's run panicked",
        false => "the consumer's task was cut off, since its runtime ends",
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

/// Tells of a panic of the run even where nobody holds the handle any more.
struct Panicked(Arc<str>);

impl Drop for Panicked {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(group = &*self.0, "the consumer's run panicked");
        }
    }
}
