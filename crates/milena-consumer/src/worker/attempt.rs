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

use super::{Worker, watched};
use crate::driven::Driven;
use crate::partition::{Partition, Phase};

/// Route and number of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Index of the route.
    pub(crate) route: usize,
    /// Number of the attempt, from 1.
    pub(crate) attempt: u32,
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
    /// The partition is given back.
    Away,
}

/// A handler's answer. A panic is an error.
pub(crate) type Answer = Result<Outcome, ProcessError>;

impl<R: Driven> Worker<R> {
    /// Makes one attempt. Returns `None` if the partition is given back before the service was
    /// ready.
    pub(super) async fn attempt(
        &mut self,
        route: usize,
        record: &SharedRecord,
        attempt: u32,
        first: bool,
    ) -> Option<Attempted> {
        self.line(route, record);
        let Self {
            core,
            routes,
            partition,
            at_work,
            lines,
            ..
        } = self;
        at_work.is_at(Phase::Ready);
        let Some(Some(line)) = lines.get_mut(route) else {
            return None;
        };
        let (readiness, at_once) = poll_ready(&mut line.service, partition).await?;
        // Reading the clock costs as much as all the rest of an attempt. It is read only for a
        // recorder, and not for a first attempt that begins at once, because its start is known.
        let timed = line.recorder.is_some() && !(at_once && first);
        let began = timed.then(Instant::now);
        let (answer, without_waiting) = match readiness {
            Ok(()) => {
                let cancel = partition.cancel_token().clone();
                let stopping = partition.stopping_token().clone();
                let mut incoming = Incoming::with_tokens(record.clone(), cancel, stopping);
                incoming.attempt = attempt;
                incoming.extensions = line.extensions.clone();
                at_work.is_at(Phase::Handler);
                let calling = started(&mut line.service, incoming);
                watched(core, partition, &**routes, route, record.offset, calling).await
            }
            Err(error) => (Err(error), false),
        };
        Some(Attempted {
            answer,
            began,
            without_waiting: without_waiting && at_once,
        })
    }

    /// Begins an attempt while other records of the lane are being processed. Waits for readiness
    /// only if `alone` is true.
    pub(crate) async fn begin(
        &mut self,
        record: &SharedRecord,
        place: Place,
        seat: &BatchSeat,
        alone: bool,
    ) -> Begun<impl Future<Output = Answer> + Send + use<R>> {
        self.line(place.route, record);
        let (routes, partition) = (&self.routes, &self.partition);
        let Some(Some(line)) = self.lines.get_mut(place.route) else {
            return Begun::Away;
        };
        let readiness = if alone {
            self.at_work.is_at(Phase::Ready);
            match poll_ready(&mut line.service, partition).await {
                Some((readiness, _)) => readiness,
                None => return Begun::Away,
            }
        } else {
            match ready_now(&mut line.service) {
                Some(readiness) => readiness,
                None => {
                    // A clone that waits for readiness may hold a place in a queue, such as that of
                    // a concurrency limit. The other records of the batch may have to wait in the
                    // same queue again, so a new clone gives the place up.
                    line.service = routes.service(place.route);
                    return Begun::NotReady;
                }
            }
        };
        let cancel = partition.cancel_token().clone();
        let stopping = partition.stopping_token().clone();
        let mut incoming = Incoming::with_tokens(record.clone(), cancel, stopping);
        incoming.attempt = place.attempt;
        incoming.extensions = line.extensions.clone();
        incoming.extensions.insert(seat.clone());
        self.at_work.is_at(Phase::Handler);
        let calling = readiness.map(|()| started(&mut line.service, incoming));
        Begun::Running(async move {
            match calling {
                Ok(calling) => calling.await,
                Err(error) => Err(error),
            }
        })
    }
}

/// Waits until the service is ready, without a deadline. Returns `None` if the partition is given
/// back meanwhile. The flag is true if the service was ready at once.
async fn poll_ready<S>(
    service: &mut S,
    partition: &Partition,
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
        () = partition.stopped() => None,
        ended = ready => Some((flat(ended), false)),
    }
}

/// Returns the service's readiness. `None` if it is not ready now.
fn ready_now<S>(service: &mut S) -> Option<Result<(), ProcessError>>
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
fn flat<T>(ended: Result<Result<T, ProcessError>, Box<dyn Any + Send>>) -> Result<T, ProcessError> {
    ended.unwrap_or_else(|panic| {
        let what = format!("the handler panicked: {}", panic_text(&*panic));
        Err(ProcessError::new(ErrorClass::Panic, what))
    })
}
