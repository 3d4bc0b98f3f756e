//! The service that ends attempts.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use milena_core::{
    BatchLane, BatchSeat, BoxError, CancelToken, ErrorClass, Incoming, Outcome, ProcessError,
};
use pin_project_lite::pin_project;
use tokio::task::coop::{Unconstrained, unconstrained};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tower_service::Service;

use crate::batch::later;
use crate::readiness::classify;

/// The service that [`TimeoutLayer`](super::TimeoutLayer) makes.
#[derive(Debug)]
pub struct Timeout<S> {
    inner: S,
    limits: Limits,
    /// The token of the last attempt, whose memory the next attempt reuses. `None` before the
    /// first.
    spare: Option<CancelToken>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The time for an attempt.
    pub(super) timeout: Duration,
    /// The time from the cancellation of the token to the drop of the future.
    pub(super) grace: Duration,
    /// The time that a shielded task may take to end after its token was cancelled. `None` for
    /// attempts that are not shielded.
    pub(super) cap: Option<Duration>,
}

impl<S> Timeout<S> {
    pub(super) fn new(inner: S, limits: Limits) -> Self {
        Self {
            inner,
            limits,
            spare: None,
        }
    }
}

impl<S: Clone> Clone for Timeout<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), self.limits)
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
    type Future = TimeoutFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut incoming: Incoming) -> Self::Future {
        let cancel = incoming.cancel.child_again(&mut self.spare);
        incoming.cancel = cancel.clone();
        let company = Company::of(&incoming);
        let attempt = self.inner.call(incoming);
        let state = match self.limits.cap {
            None => State::Dropped {
                attempt,
                sleep: None,
                told: false,
                cancel,
                limits: self.limits,
                company,
            },
            Some(cap) => State::Shielded {
                running: Box::pin(shielded(attempt, self.limits, cap, cancel, company)),
            },
        };
        TimeoutFuture { state }
    }
}

type Shielded = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

pin_project! {
    /// The future of an attempt. Resolves with its answer, or with a timeout.
    pub struct TimeoutFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        // An attempt that is dropped when its time and the grace time are over.
        Dropped {
            #[pin]
            attempt: F,
            // `None` until the attempt first waits. An attempt that ends at once needs neither
            // timer nor clock, and does not hold space for one.
            sleep: Option<Pin<Box<Unconstrained<Sleep>>>>,
            // True once the attempt's token was cancelled.
            told: bool,
            cancel: CancelToken,
            limits: Limits,
            company: Option<Company>,
        },
        Shielded { running: Shielded },
    }
}

impl<F, E> Future for TimeoutFuture<F>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Outcome, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (mut attempt, sleep, told, cancel, limits, company) =
            match self.project().state.project() {
                StateProjection::Shielded { running } => return running.as_mut().poll(cx),
                StateProjection::Dropped {
                    attempt,
                    sleep,
                    told,
                    cancel,
                    limits,
                    company,
                } => (attempt, sleep, told, cancel, limits, company),
            };
        // The timer ignores tokio's cooperative budget. Otherwise an attempt that uses up the
        // budget would delay its own timeout.
        let until = |end| Box::pin(unconstrained(sleep_until(end)));
        loop {
            // Polls the attempt again after its token was cancelled, so that an immediate answer
            // counts even without a grace time.
            if let Poll::Ready(ended) = attempt.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(Into::into));
            }
            let timer = sleep.get_or_insert_with(|| until(end_after(limits.timeout)));
            ready!(timer.as_mut().poll(cx));
            if *told {
                return Poll::Ready(too_long(limits.timeout, company.as_ref()));
            }
            *told = true;
            cancel.cancel();
            *sleep = Some(until(end_after(limits.grace)));
        }
    }
}

/// Returns the instant `time` from now, or one 30 years away if the clock cannot represent it.
fn end_after(time: Duration) -> Instant {
    const YEARS: Duration = Duration::from_secs(30 * 365 * 86_400);
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + YEARS)
}

/// Runs an attempt in a task of its own, and returns when the task has ended.
async fn shielded<E: Into<BoxError>>(
    attempt: impl Future<Output = Result<Outcome, E>> + Send + 'static,
    limits: Limits,
    cap: Duration,
    cancel: CancelToken,
    company: Option<Company>,
) -> Result<Outcome, BoxError> {
    let limit = limits.timeout;
    let attempt = async { attempt.await.map_err(Into::into) };
    // The token is cancelled on drop, so the handler ends even if the caller no longer waits.
    let mut running = RunningCall {
        task: tokio::spawn(attempt),
        cancel,
    };
    if let Ok(ended) = timeout(limit, &mut running.task).await {
        return flat(ended);
    }
    running.cancel.cancel();
    match timeout(cap, &mut running.task).await {
        Ok(Ok(Ok(outcome))) => Ok(outcome),
        // A classified error counts even though it is late. An unclassified error may be an effect
        // of the cancellation, so it becomes a timeout.
        Ok(Ok(Err(error))) => match classify(error) {
            late if late.is_classified() => Err(late.into()),
            _ => too_long(limit, company.as_ref()),
        },
        Ok(Err(error)) => flat(Err(error)),
        Err(_) => Ok(Outcome::stop(format!(
            "the handler did not end within {cap:?} after its timeout of {limit:?}; another attempt would overlap it"
        ))),
    }
}

struct RunningCall {
    /// The task of the attempt. Not aborted on drop.
    task: JoinHandle<Result<Outcome, BoxError>>,
    /// The token of the attempt. Cancelled on drop.
    cancel: CancelToken,
}

impl Drop for RunningCall {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Converts a panic of the task to the same error as the recovery layer does.
fn flat(ended: Result<Result<Outcome, BoxError>, JoinError>) -> Result<Outcome, BoxError> {
    match ended {
        Ok(ended) => ended,
        Err(error) => Err(ProcessError::new(ErrorClass::Panic, error).into()),
    }
}

/// The other records that may share the attempt of a record.
enum Company {
    /// Records that its lane handed over together with it.
    Seat(BatchSeat),
    /// Records of other lanes.
    Lane(BatchLane),
}

impl Company {
    /// Reads the record's extensions. `None` if the record never shares an attempt.
    fn of(incoming: &Incoming) -> Option<Self> {
        if let Some(seat) = incoming.extensions.get::<BatchSeat>() {
            return Some(Self::Seat(seat.clone()));
        }
        let lane = incoming.extensions.get::<BatchLane>()?;
        Some(Self::Lane(lane.clone()))
    }

    /// Returns true if other records share the present attempt.
    fn is_there(&self) -> bool {
        match self {
            Self::Seat(seat) => seat.is_shared(),
            Self::Lane(lane) => lane.is_shared(),
        }
    }
}

/// Returns the answer for an attempt that took too long.
///
/// It is an error. If other records shared the attempt, the record is to be tried again without
/// them instead.
fn too_long(limit: Duration, company: Option<&Company>) -> Result<Outcome, BoxError> {
    let Some(company) = company.filter(|company| company.is_there()) else {
        return Err(
            ProcessError::timeout(format!("the attempt took longer than {limit:?}")).into(),
        );
    };
    if let Company::Lane(lane) = company {
        lane.try_alone();
    }
    tracing::warn!(
        target: "milena::process",
        ?limit,
        "an attempt at several records took too long and counts for none; they are tried again, the first alone"
    );
    Ok(later())
}
