//! The service that ends attempts.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use milena_core::{BoxError, CancelToken, ErrorClass, Incoming, Outcome, ProcessError};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, timeout};
use tower_service::Service;

/// What [`TimeoutLayer`](super::TimeoutLayer) makes.
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) grace: Duration,
    /// Shielded: how long a task may take to end.
    pub(super) cap: Option<Duration>,
}

impl<S> Timeout<S> {
    pub(super) fn new(inner: S, limits: Limits) -> Self {
        Self { inner, limits }
    }
}

impl<S> Service<Incoming> for Timeout<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut incoming: Incoming) -> Self::Future {
        let cancel = incoming.cancel.child();
        incoming.cancel = cancel.clone();
        let attempt = self.inner.call(incoming);
        match self.limits.cap {
            None => Box::pin(dropped(attempt, self.limits, cancel)),
            Some(cap) => Box::pin(shielded(attempt, self.limits.timeout, cap, cancel)),
        }
    }
}

/// Runs an attempt and drops it when its time and grace are over.
async fn dropped<E: Into<BoxError>>(
    attempt: impl Future<Output = Result<Outcome, E>>,
    limits: Limits,
    cancel: CancelToken,
) -> Result<Outcome, BoxError> {
    let began = Instant::now();
    let mut attempt = pin!(attempt);
    // One that ends at once needs no timer.
    let at_once = poll_fn(|cx| match attempt.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(ended) = at_once.await {
        return ended.map_err(Into::into);
    }
    let left = limits.timeout.saturating_sub(began.elapsed());
    if let Ok(ended) = timeout(left, attempt.as_mut()).await {
        return ended.map_err(Into::into);
    }
    cancel.cancel();
    match timeout(limits.grace, attempt).await {
        Ok(ended) => ended.map_err(Into::into),
        Err(_) => Err(too_long(limits.timeout)),
    }
}

/// Runs an attempt in a task of its own and answers when that has ended.
async fn shielded<E: Into<BoxError>>(
    attempt: impl Future<Output = Result<Outcome, E>> + Send + 'static,
    limit: Duration,
    cap: Duration,
    cancel: CancelToken,
) -> Result<Outcome, BoxError> {
    let attempt = async { attempt.await.map_err(Into::into) };
    // Even where nobody waits for the answer any more, the handler is told to end.
    let mut running = Running {
        task: tokio::spawn(attempt),
        cancel,
    };
    if let Ok(ended) = timeout(limit, &mut running.task).await {
        return flat(ended);
    }
    running.cancel.cancel();
    match timeout(cap, &mut running.task).await {
        Ok(Ok(Ok(outcome))) => Ok(outcome),
        Ok(Ok(Err(_))) => Err(too_long(limit)),
        Ok(Err(error)) => flat(Err(error)),
        Err(_) => Ok(Outcome::stop(format!(
            "the handler did not end within {cap:?} after its timeout of {limit:?}; another attempt would overlap it"
        ))),
    }
}

struct Running {
    task: JoinHandle<Result<Outcome, BoxError>>,
    cancel: CancelToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// A panic of the task is told as recovery tells it.
fn flat(ended: Result<Result<Outcome, BoxError>, JoinError>) -> Result<Outcome, BoxError> {
    match ended {
        Ok(ended) => ended,
        Err(error) => Err(ProcessError::new(ErrorClass::Panic, error).into()),
    }
}

fn too_long(limit: Duration) -> BoxError {
    ProcessError::timeout(format!("the attempt took longer than {limit:?}")).into()
}
