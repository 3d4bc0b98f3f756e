//! The service that retries in place.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use milena_core::{BoxError, ErrorClass, Incoming, Outcome, ProcessError, Reason};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::time::{Instant, sleep};
use tower_service::Service;

use super::policy::Policy;
use crate::readiness::{classify, ready as until_ready};

/// The service that [`RetryLayer`](super::RetryLayer) makes.
#[derive(Debug)]
pub struct Retry<S> {
    inner: S,
    shared: Arc<SharedRetry<S>>,
}

/// The state that all clones share.
#[derive(Debug)]
struct SharedRetry<S> {
    /// The settings of the layer.
    policy: Arc<Policy>,
    // The inner service, cloned only for a record that failed. The lock makes it shareable, because
    // it need not be `Sync`.
    template: Mutex<S>,
}

impl<S: Clone> Retry<S> {
    pub(super) fn new(inner: S, policy: Arc<Policy>) -> Self {
        let template = Mutex::new(inner.clone());
        Self {
            inner,
            shared: Arc::new(SharedRetry { policy, template }),
        }
    }
}

impl<S: Clone> Clone for Retry<S> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S> Service<Incoming> for Retry<S>
where
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = RetryFuture<S>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let policy = &self.shared.policy;
        // Reading the clock costs as much as the rest of this function, so it is read only for a
        // limit.
        let began = policy.max_elapsed.map(|_| Instant::now());
        if let Some(budget) = &policy.budget {
            budget.first();
        }
        incoming.record.note_attempts(incoming.attempt);
        RetryFuture {
            kept: Some((incoming.clone(), Arc::clone(&self.shared))),
            began,
            state: State::First {
                attempt: self.inner.call(incoming),
            },
        }
    }
}

type Repeating = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

pin_project! {
    /// The future of a record. Resolves with the answer of the last attempt.
    pub struct RetryFuture<S: Service<Incoming>> {
        // The record and the shared state for retries. `None` once the first attempt failed.
        kept: Option<(Incoming, Arc<SharedRetry<S>>)>,
        // The start of the first attempt. `None` without a `max_elapsed`.
        began: Option<Instant>,
        #[pin]
        state: State<S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        First { #[pin] attempt: F },
        // Boxed, so that the future of a record that succeeds does not hold space for retries.
        Repeating { repeating: Repeating },
    }
}

impl<S> Future for RetryFuture<S>
where
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Output = Result<Outcome, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = match this.state.as_mut().project() {
            StateProjection::First { attempt } => ready!(attempt.poll(cx)),
            StateProjection::Repeating { repeating } => return repeating.as_mut().poll(cx),
        };
        let failure = match Failure::of(answer) {
            Ok(outcome) => return Poll::Ready(Ok(outcome)),
            Err(failure) => failure,
        };
        let Some((incoming, shared)) = this.kept.take() else {
            return Poll::Ready(failure.last(1));
        };
        let repeating: Repeating = Box::pin(repeat(shared, incoming, *this.began, failure));
        // Setting the state drops the future of the first attempt before another attempt begins.
        this.state.set(State::Repeating { repeating });
        match this.state.project() {
            StateProjection::Repeating { repeating } => repeating.as_mut().poll(cx),
            StateProjection::First { attempt } => attempt.poll(cx).map_err(Into::into),
        }
    }
}

impl<S: Service<Incoming>> fmt::Debug for RetryFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture").finish_non_exhaustive()
    }
}

/// Retries a record after its first attempt failed.
async fn repeat<S>(
    shared: Arc<SharedRetry<S>>,
    mut incoming: Incoming,
    began: Option<Instant>,
    mut failure: Failure,
) -> Result<Outcome, BoxError>
where
    S: Service<Incoming, Response = Outcome> + Clone,
    S::Error: Into<BoxError>,
{
    let policy = &shared.policy;
    let mut inner: Option<S> = None;
    let (mut spent, mut not_ready) = (Duration::ZERO, Duration::ZERO);
    // Without a limit the elapsed time is not needed, and counts as zero.
    let elapsed = || began.map_or(Duration::ZERO, |began| began.elapsed());
    // Attempts that do not count here. The driver may have tried before, and failures while a
    // breaker is open are not attempts.
    let mut uncounted = incoming.attempt - 1;
    loop {
        let counts = failure.counts(policy);
        // Only time up to a counted failure is elapsed time.
        if counts {
            spent = elapsed().saturating_sub(not_ready);
        } else {
            uncounted += 1;
        }
        let (class, asked) = failure.terms();
        let attempt = (incoming.attempt - uncounted).max(1);
        let Some(wait) = policy.again(class, attempt, spent, asked) else {
            return failure.last(incoming.attempt);
        };
        // A retry that the budget does not cover yet waits, and this wait is not elapsed time.
        let covered = policy
            .budget
            .as_ref()
            .map(|budget| budget.repeat(Instant::now()));
        // The wait for the budget and the backoff pass at the same time, so only the rest is added.
        let covered = covered.unwrap_or_default().saturating_sub(wait);
        not_ready = not_ready.saturating_add(covered);
        let all = wait.saturating_add(covered);
        tracing::info!(
            target: "milena::process",
            topic = incoming.record.topic.as_str(),
            partition = %incoming.record.partition,
            offset = %incoming.record.offset,
            attempt = incoming.attempt,
            again_in = ?all,
            class = %class,
            error = %failure.why(),
            "the attempt failed and is retried"
        );
        // Neither this failure nor the wait after it is elapsed time, so everything since the last
        // counted failure is taken off.
        if !counts {
            not_ready = elapsed().saturating_sub(spent).saturating_add(all);
        }
        tokio::select! {
            biased;
            () = incoming.stopping.cancelled() => return failure.unsettled(),
            () = sleep(all) => {}
        }
        let inner = inner.get_or_insert_with(|| shared.template.lock().clone());
        let waiting = Instant::now();
        match until_ready(inner, &incoming).await {
            None => return failure.unsettled(),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(())) => not_ready = not_ready.saturating_add(waiting.elapsed()),
        }
        incoming.attempt += 1;
        incoming.record.note_attempts(incoming.attempt);
        match Failure::of(inner.call(incoming.clone()).await) {
            Ok(outcome) => return Ok(outcome),
            Err(again) => failure = again,
        }
    }
}

/// The reason why an attempt did not settle its record.
enum Failure {
    /// The handler asked for another attempt.
    Asked(Option<Duration>, Reason),
    Error(ProcessError),
}

impl Failure {
    fn of<E: Into<BoxError>>(answer: Result<Outcome, E>) -> Result<Outcome, Self> {
        match answer {
            Ok(Outcome::Retry { after, reason }) => Err(Self::Asked(after, reason)),
            Ok(outcome) => Ok(outcome),
            Err(error) => Err(Self::Error(classify(error))),
        }
    }

    fn terms(&self) -> (ErrorClass, Option<Duration>) {
        match self {
            Self::Asked(after, _) => (ErrorClass::Transient, *after),
            Self::Error(error) => (error.class(), error.retry_after()),
        }
    }

    fn why(&self) -> Reason {
        match self {
            Self::Asked(_, reason) => reason.clone(),
            Self::Error(error) => error.chain(),
        }
    }

    /// Returns true if the failure used up an attempt.
    fn counts(&self, policy: &Policy) -> bool {
        match self {
            Self::Asked(..) => true,
            Self::Error(error) => error.is_counted() || policy.has_own(error.class()),
        }
    }

    /// Returns the error of a record that has no attempt left.
    fn last(self, attempts: u32) -> Result<Outcome, BoxError> {
        match self {
            Self::Asked(_, reason) => {
                let what =
                    format!("the handler asked for another attempt {attempts} times: {reason}");
                Err(ProcessError::transient(what).into())
            }
            Self::Error(error) => Err(error.into()),
        }
    }

    /// Leaves the record unsettled for the next owner of its partition.
    fn unsettled(self) -> Result<Outcome, BoxError> {
        Ok(match self {
            Self::Asked(after, reason) => Outcome::Retry { after, reason },
            Self::Error(error) => Outcome::retry(error.chain()),
        })
    }
}
