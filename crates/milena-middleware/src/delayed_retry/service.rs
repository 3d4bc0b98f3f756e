//! The service that sends failed records to retry topics, and holds records of retry topics until
//! they are due.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{
    BoxError, Extensions, Incoming, Outcome, ProcessError, ProducerRecord, RecordMetadata,
    Timestamp, WallClock,
};
use tower_service::Service;

use super::forward::{Round, forward, in_words};
use super::topics::RetryTopics;
use crate::desk::{Desk, Written};
use crate::origin;
use crate::readiness::classify;

/// The service that [`DelayedRetryLayer`](super::DelayedRetryLayer) makes.
#[derive(Clone, Debug)]
pub struct DelayedRetry<S, P> {
    inner: S,
    /// Writes the records to retry topics. Cloned for each attempt.
    sink: P,
    /// The state that all lanes share.
    rules: Arc<RetryRules>,
}

/// The state that all lanes share.
#[derive(Clone)]
pub(super) struct RetryRules {
    /// The delays and the names of the retry topics.
    pub(super) topics: RetryTopics,
    /// Writes the records, and owns the gate.
    pub(super) desk: Desk,
    /// The wall clock. `None` for the consumer's.
    pub(super) clock: Option<WallClock>,
    /// True if the retry topics are on the consumer's cluster, which is then asked for them.
    pub(super) same_cluster: bool,
}

impl<S, P> DelayedRetry<S, P> {
    pub(super) fn new(inner: S, sink: P, rules: Arc<RetryRules>) -> Self {
        Self { inner, sink, rules }
    }
}

impl<S, P> Service<Incoming> for DelayedRetry<S, P>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError> + 'static,
    S::Future: Send + 'static,
    P: Service<ProducerRecord, Response = RecordMetadata> + Clone + Send + 'static,
    P::Error: Into<BoxError>,
    P::Future: Send,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut incoming: Incoming) -> Self::Future {
        let kept = incoming.clone();
        let round = Round::of(&incoming.record, &self.rules.topics);
        if round.number > 0 {
            if let Some(due) = round
                .due
                .filter(|due| *due > self.rules.now(&incoming.extensions))
            {
                // The consumer waits with the partition paused, and counts no attempt.
                return Box::pin(ready(Ok(Outcome::Hold(due))));
            }
            incoming.record.timestamp = origin::timestamp(&incoming.record);
            incoming.attempt = incoming.attempt.saturating_add(round.attempts);
        }
        // The record of `kept` may be a different one, because the lines above can copy it to
        // change it. Attempts are counted on this one.
        let counted = incoming.record.clone();
        counted.note_attempts(incoming.attempt);
        let processing = self.inner.call(incoming);
        let (rules, sink) = (Arc::clone(&self.rules), self.sink.clone());
        Box::pin(async move {
            let answer = processing.await.map_err(classify);
            let attempts = counted.attempts();
            kept.record.note_attempts(attempts);
            let error = match answer {
                Ok(Outcome::Retry { reason, .. }) if !kept.stopping.is_cancelled() => {
                    ProcessError::transient(format!("asked for another attempt: {reason}"))
                }
                // An attempt that failed because its partition is given back is repeated by the
                // next owner.
                Err(error) if error.class().is_retriable() && !kept.cancel.is_cancelled() => error,
                answer => return answer.map_err(BoxError::from),
            };
            // Boxed, so that the future of a record that succeeds does not hold space for the
            // write.
            Box::pin(rules.send_on(sink, kept, round, error, attempts)).await
        })
    }
}

impl RetryRules {
    fn now(&self, extensions: &Extensions) -> Timestamp {
        match &self.clock {
            Some(clock) => clock.now(),
            None => WallClock::now_by(extensions),
        }
    }

    async fn send_on<P>(
        &self,
        sink: P,
        kept: Incoming,
        round: Round,
        error: ProcessError,
        attempts: u32,
    ) -> Result<Outcome, BoxError>
    where
        P: Service<ProducerRecord, Response = RecordMetadata>,
        P::Error: Into<BoxError>,
    {
        let Some((to, delay)) = self.topics.next(&round.base, round.number) else {
            return Err(error.into());
        };
        let make = |_, _: Option<&ProcessError>| {
            let due = self.now(&kept.extensions).plus(delay);
            let record = kept.record.clone().into_inner();
            forward(record, &to, round.number + 1, due, &error, attempts)
        };
        Ok(
            match self
                .desk
                .write(sink, &kept.record, &kept.stopping, make)
                .await
            {
                Written::There(..) => Outcome::Forwarded(in_words(&to, delay, &error).into()),
                Written::GivenBack => Outcome::retry(
                    "the partition was given back before the record was written to its retry topic",
                ),
                // A dead letter topic may accept a record that the retry topic refuses.
                Written::Refused(refusal) => {
                    let what = format!(
                        "the retry topic `{to}` refused it for good ({})",
                        refusal.chain()
                    );
                    return Err(error.context(&what).into());
                }
            },
        )
    }
}

impl fmt::Debug for RetryRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryRules")
            .field("topics", &self.topics)
            .field("desk", &self.desk)
            .finish_non_exhaustive()
    }
}
