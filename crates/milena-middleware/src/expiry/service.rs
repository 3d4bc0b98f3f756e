//! The service that passes over expired records.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use milena_core::{BoxError, ConsumerRecord, Incoming, Outcome, Timestamp, WallClock};
use tower_service::Service;

use crate::early::EarlyFuture;
use crate::origin;

/// The service that [`ExpiryLayer`](super::ExpiryLayer) makes.
#[derive(Clone)]
pub struct Expiry<S> {
    inner: S,
    rules: Rules,
}

#[derive(Clone)]
pub(super) struct Rules {
    /// The rule that decides when a record expires.
    pub(super) limit: AgeLimit,
    /// True if an expired record becomes a dead letter, false if it is skipped.
    pub(super) dead_letters: bool,
    /// The wall clock. `None` for the consumer's.
    pub(super) clock: Option<WallClock>,
}

#[derive(Clone, Debug)]
pub(super) enum AgeLimit {
    Age(Duration),
    Header(Arc<str>),
}

impl AgeLimit {
    /// Returns the time at which a record expires. `None` if it never does.
    fn end(&self, record: &ConsumerRecord) -> Option<Timestamp> {
        match self {
            Self::Age(age) => Some(origin::wanted_since(record)?.plus(*age)),
            Self::Header(name) => {
                let millis = record.headers.text(name)?.parse().ok()?;
                Some(Timestamp::from_millis(millis))
            }
        }
    }
}

impl<S> Expiry<S> {
    pub(super) fn new(inner: S, rules: Rules) -> Self {
        Self { inner, rules }
    }

    fn verdict(&self, incoming: &Incoming) -> Option<Outcome> {
        let end = self.rules.limit.end(&incoming.record)?;
        let now = match &self.rules.clock {
            Some(clock) => clock.now(),
            None => WallClock::now_by(&incoming.extensions),
        };
        if now <= end {
            return None;
        }
        let reason = format!("it expired {:?} ago", now.since(end));
        Some(match self.rules.dead_letters {
            false => Outcome::skip(reason),
            true => Outcome::dead_letter(reason),
        })
    }
}

impl<S> Service<Incoming> for Expiry<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = EarlyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        match self.verdict(&incoming) {
            Some(outcome) => EarlyFuture::decided(outcome),
            None => EarlyFuture::running(self.inner.call(incoming)),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Expiry<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Expiry")
            .field("inner", &self.inner)
            .field("limit", &self.rules.limit)
            .finish_non_exhaustive()
    }
}
