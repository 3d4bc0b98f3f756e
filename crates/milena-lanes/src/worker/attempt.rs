//! One attempt at a record. It waits until the service is ready, calls it and awaits the answer. A
//! panic becomes an error.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use milena_core::{
    BatchSeat, BoxError, ErrorClass, Incoming, Outcome, ProcessError, SharedRecord, panic_text,
};
use tokio::time::Instant;
use tower_service::Service;

use super::route_line::RouteLine;
use super::wait::watched;
use crate::feed::{Dispatch, LaneAtWork, Phase};
use crate::source::Feed;

/// The number of an attempt at a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    /// The attempts so far with this one. A hold is not an attempt.
    pub(super) attempt: u32,
    /// True for the first call of the service with the record.
    pub(super) is_first: bool,
}

/// An attempt that has ended.
pub(super) struct Attempted {
    /// The service's answer.
    pub(super) answer: Answer,
    /// Time at which the service became ready. `None` if nobody records it, or if a first attempt
    /// began at once.
    pub(super) began: Option<Instant>,
    /// True if neither the service's readiness nor its answer had to be waited for.
    pub(super) without_waiting: bool,
}

/// Result of an attempt to call the service while other records of the lane are being processed.
pub(crate) enum Begun<F> {
    /// The service was called. The future resolves to its answer.
    Running(F),
    /// The service is not ready. The record goes into the next batch.
    NotReady,
    /// The feed is given back.
    Away,
}

/// A handler's answer. A panic is an error.
pub(crate) type Answer = Result<Outcome, ProcessError>;

/// Makes one attempt. Returns `None` if the feed is given back before the service was ready.
pub(super) async fn attempt<F, S>(
    feed: &F,
    line: &mut RouteLine<S>,
    at_work: &LaneAtWork,
    record: &SharedRecord,
    number: Number,
) -> Option<Attempted>
where
    F: Feed,
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
{
    at_work.is_at(Phase::Ready);
    let dispatch = feed.dispatch();
    let (readiness, at_once) = poll_ready(&mut line.service, dispatch).await?;
    // Reading the clock costs as much as all the rest of an attempt. It is read only for a
    // recorder, and not for a first attempt that begins at once, because its start is known.
    let timed = line.is_timed() && !(at_once && number.is_first);
    let began = timed.then(Instant::now);
    let (answer, without_waiting) = match readiness {
        Ok(()) => {
            let mut incoming = incoming(dispatch, record, number.attempt);
            incoming.extensions = line.extensions.clone();
            at_work.is_at(Phase::Handler);
            let calling = started(&mut line.service, incoming);
            watched(feed, &line.name, record.offset, calling).await
        }
        Err(error) => (Err(error), false),
    };
    Some(Attempted {
        answer,
        began,
        without_waiting: without_waiting && at_once,
    })
}

/// Calls a service whose readiness is known, for a record that meets others at its handler.
pub(super) fn begin<S>(
    line: &mut RouteLine<S>,
    readiness: Result<(), ProcessError>,
    mut incoming: Incoming,
    seat: &BatchSeat,
) -> impl Future<Output = Answer> + Send + use<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    incoming.extensions = line.extensions.clone();
    incoming.extensions.insert(seat.clone());
    let calling = readiness.map(|()| started(&mut line.service, incoming));
    async move {
        match calling {
            Ok(calling) => calling.await,
            Err(error) => Err(error),
        }
    }
}

/// Returns the record as it passes through the layers, without extensions.
#[inline]
pub(super) fn incoming(dispatch: &Dispatch, record: &SharedRecord, attempt: u32) -> Incoming {
    let cancel = dispatch.cancel_token().clone();
    let stopping = dispatch.stopping_token().clone();
    let mut incoming = Incoming::with_tokens(record.clone(), cancel, stopping);
    incoming.attempt = attempt;
    incoming
}

/// Waits until the service is ready, without a deadline. Returns `None` if the feed is given back
/// meanwhile. The flag is true if the service was ready at once.
pub(super) async fn poll_ready<S>(
    service: &mut S,
    dispatch: &Dispatch,
) -> Option<(Result<(), ProcessError>, bool)>
where
    S: Service<Incoming>,
    S::Error: Into<BoxError>,
{
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx).map_err(classify));
    let mut ready = std::pin::pin!(AssertUnwindSafe(ready).catch_unwind());
    if let Some(ended) = ready.as_mut().now_or_never() {
        return Some((flat(ended), true));
    }
    tokio::select! {
        biased;
        () = dispatch.stopped() => None,
        ended = ready => Some((flat(ended), false)),
    }
}

/// Returns the service's readiness. `None` if it is not ready now.
pub(super) fn ready_now<S>(service: &mut S) -> Option<Result<(), ProcessError>>
where
    S: Service<Incoming>,
    S::Error: Into<BoxError>,
{
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx).map_err(classify));
    AssertUnwindSafe(ready)
        .catch_unwind()
        .now_or_never()
        .map(flat)
}

/// Calls the service now. A panic of the call or of its future becomes the answer.
fn started<S>(service: &mut S, incoming: Incoming) -> impl Future<Output = Answer> + use<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
{
    // `call` may panic as well. It runs outside the future below, because a record inside the
    // future would be copied several more times.
    let called = std::panic::catch_unwind(AssertUnwindSafe(|| service.call(incoming)));
    async move {
        match called {
            Ok(answer) => {
                let answer = async { answer.await.map_err(classify) };
                flat(AssertUnwindSafe(answer).catch_unwind().await)
            }
            Err(panic) => flat(Err(panic)),
        }
    }
}

fn classify(error: impl Into<BoxError>) -> ProcessError {
    ProcessError::from_boxed(error.into())
}

/// Turns a panic into an error of class `Panic`.
#[inline]
fn flat<T>(ended: Result<Result<T, ProcessError>, Box<dyn Any + Send>>) -> Result<T, ProcessError> {
    match ended {
        Ok(answer) => answer,
        Err(panic) => Err(panicked(&*panic)),
    }
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> ProcessError {
    let what = format!("the handler panicked: {}", panic_text(panic));
    ProcessError::new(ErrorClass::Panic, what)
}
