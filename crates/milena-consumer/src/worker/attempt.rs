//! One attempt at a record: the service is waited for, called, and its answer awaited; a panic is an answer too.

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

/// Where an attempt is made, and which it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) route: usize,
    pub(crate) attempt: u32,
}

/// An attempt that has ended.
pub(super) struct Attempted {
    pub(super) answer: Answer,
    /// When it began, where it did not begin at once.
    pub(super) began: Option<Instant>,
    /// Whether it ended in one go.
    pub(super) without_waiting: bool,
}

/// What came of beginning an attempt beside others.
pub(crate) enum Begun<F> {
    Running(F),
    NotReady,
    /// The partition is given back.
    Away,
}

pub(crate) type Answer = Result<Outcome, ProcessError>;

impl<R: Driven> Worker<R> {
    /// One attempt; `None` when the partition is given back before it began.
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
        // Reading the clock costs as much as all else here: only for somebody who asks, and no more often than needed.
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

    /// Begins an attempt beside others. Waits for readiness only where there are no others.
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
                    // It must not keep a place in a queue in which the others may have to wait again.
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

/// Waits until the service is ready, without a deadline; `None` when the partition is given back meanwhile.
/// Also tells whether it was ready at once.
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

/// Whether the service is ready now; `None` where it is to be waited for.
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

/// Calls the service now; what it returns answers for a panic too.
fn started<S>(service: &mut S, incoming: Incoming) -> impl Future<Output = Answer> + use<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
{
    // `call` itself may panic too. It is no part of the future below, through which the record would be copied some times more.
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

/// A panic is an error like others, of a class of its own.
fn flat<T>(ended: Result<Result<T, ProcessError>, Box<dyn Any + Send>>) -> Result<T, ProcessError> {
    ended.unwrap_or_else(|panic| {
        let what = format!("the handler panicked: {}", panic_text(&*panic));
        Err(ProcessError::new(ErrorClass::Panic, what))
    })
}
