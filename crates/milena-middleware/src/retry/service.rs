//! The service that tries again.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use milena_core::{BoxError, ErrorClass, Incoming, Outcome, ProcessError, Reason};
use tokio::time::{Instant, sleep};
use tower_service::Service;

use super::policy::Policy;
use crate::readiness::{classify, ready};

/// What [`RetryLayer`](super::RetryLayer) makes.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    policy: Arc<Policy>,
}

/// Counts the attempts of a record, for layers outside of retry: they put it among the extensions.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttemptCount(Arc<AtomicU32>);

impl AttemptCount {
    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, attempts: u32) {
        self.0.store(attempts, Ordering::Relaxed);
    }
}

impl<S> Retry<S> {
    pub(super) fn new(inner: S, policy: Arc<Policy>) -> Self {
        Self { inner, policy }
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
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        // The one that was polled ready is the one that is called.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        Box::pin(attempts(inner, Arc::clone(&self.policy), incoming))
    }
}

async fn attempts<S>(
    mut inner: S,
    policy: Arc<Policy>,
    mut incoming: Incoming,
) -> Result<Outcome, BoxError>
where
    S: Service<Incoming, Response = Outcome> + Clone,
    S::Error: Into<BoxError>,
{
    let count = incoming.extensions.get::<AttemptCount>().cloned();
    let began = Instant::now();
    let (mut spent, mut not_ready) = (Duration::ZERO, Duration::ZERO);
    if let Some(budget) = &policy.budget {
        budget.first();
    }
    // The driver may have tried before, and what fails while a breaker is open is no attempt either.
    let mut uncounted = incoming.attempt - 1;
    loop {
        if let Some(count) = &count {
            count.set(incoming.attempt);
        }
        let failure = match inner.call(incoming.clone()).await.map_err(classify) {
            Ok(Outcome::Retry { after, reason }) => Failure::Asked(after, reason),
            Ok(outcome) => return Ok(outcome),
            Err(error) => Failure::Error(error),
        };
        let counts = failure.counts(&policy);
        if counts {
            spent = began.elapsed().saturating_sub(not_ready);
        } else {
            uncounted += 1;
        }
        let (class, asked) = failure.terms();
        let attempt = (incoming.attempt - uncounted).max(1);
        let Some(wait) = policy.again(class, attempt, spent, asked) else {
            return failure.last(incoming.attempt);
        };
        // What the budget does not cover yet waits, which is no elapsed time.
        let covered = policy
            .budget
            .as_ref()
            .map(|budget| budget.repeat(Instant::now()));
        let covered = covered.unwrap_or_default().saturating_sub(wait);
        not_ready += covered;
        if !counts {
            not_ready = began.elapsed().saturating_sub(spent) + wait + covered;
        }
        tokio::select! {
            biased;
            () = incoming.stopping.cancelled() => return failure.unsettled(),
            () = sleep(wait + covered) => {}
        }
        let waiting = Instant::now();
        match ready(&mut inner, &incoming).await {
            None => return failure.unsettled(),
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(())) => not_ready += waiting.elapsed(),
        }
        incoming.attempt += 1;
    }
}

/// Why an attempt did not settle its record.
enum Failure {
    /// The handler asked for another attempt.
    Asked(Option<Duration>, Reason),
    Error(ProcessError),
}

impl Failure {
    fn terms(&self) -> (ErrorClass, Option<Duration>) {
        match self {
            Self::Asked(after, _) => (ErrorClass::Transient, *after),
            Self::Error(error) => (error.class(), error.retry_after()),
        }
    }

    /// Whether it used up an attempt.
    fn counts(&self, policy: &Policy) -> bool {
        match self {
            Self::Asked(..) => true,
            Self::Error(error) => error.is_counted() || policy.has_own(error.class()),
        }
    }

    /// There is no other attempt.
    fn last(self, attempts: u32) -> Result<Outcome, BoxError> {
        match self {
            Self::Asked(_, reason) => {
                let what = format!("asked for another attempt {attempts} times: {reason}");
                Err(ProcessError::transient(what).into())
            }
            Self::Error(error) => Err(error.into()),
        }
    }

    /// The record is left to the next owner of its partition.
    fn unsettled(self) -> Result<Outcome, BoxError> {
        Ok(match self {
            Self::Asked(after, reason) => Outcome::Retry { after, reason },
            Self::Error(error) => Outcome::retry(error.chain()),
        })
    }
}
