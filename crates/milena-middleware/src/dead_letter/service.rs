//! The service that writes dead letters.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{
    Backoff, BoxError, ErrorClass, Gate, Incoming, Outcome, ProcessError, ProducerRecord,
    RecordMetadata, TopicName,
};
use tokio::time::sleep;
use tower_service::Service;

use super::letter::{Cause, letter};
use crate::readiness::classify;
use crate::retry::AttemptCount;

/// What [`DeadLetterLayer`](super::DeadLetterLayer) makes.
#[derive(Clone, Debug)]
pub struct DeadLetter<S, P> {
    inner: S,
    sink: P,
    desk: Arc<Desk>,
}

/// What all lanes share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) topic: TopicName,
    pub(super) gate: Gate,
    pub(super) backoff: Backoff,
}

impl<S, P> DeadLetter<S, P> {
    pub(super) fn new(inner: S, sink: P, desk: Arc<Desk>) -> Self {
        Self { inner, sink, desk }
    }
}

impl<S, P> Service<Incoming> for DeadLetter<S, P>
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
        let count = AttemptCount::default();
        count.set(incoming.attempt);
        incoming.extensions.insert(count.clone());
        let processing = self.inner.call(incoming);
        let (desk, sink) = (Arc::clone(&self.desk), self.sink.clone());
        Box::pin(async move {
            let answer = processing.await.map_err(classify);
            let cause = match &answer {
                Ok(Outcome::DeadLetter(reason)) => Cause::rejected(reason.to_string()),
                Ok(Outcome::Retry { reason, .. }) if !kept.stopping.is_cancelled() => {
                    let what = format!("asked for another attempt, but no layer retries: {reason}");
                    Cause::error(&ProcessError::transient(what))
                }
                // What failed because its partition is given back is read again by the next owner.
                Err(error) if error.class() != ErrorClass::Fatal && !kept.cancel.is_cancelled() => {
                    Cause::error(error)
                }
                Ok(_) | Err(_) => return answer.map_err(BoxError::from),
            };
            if kept.record.topic == desk.topic {
                let what = format!(
                    "a record of the dead letter topic `{}` cannot become a dead letter of it: {}",
                    desk.topic, cause.message
                );
                return Err(ProcessError::poison(what).into());
            }
            let attempts = count.get();
            match desk.write(sink, &kept, &cause, attempts).await {
                Some(reason) => Ok(Outcome::DeadLettered(reason.into())),
                None => Ok(Outcome::retry(
                    "the partition is given back before its dead letter is written",
                )),
            }
        })
    }
}

impl Desk {
    /// Writes the letter, however long that takes, and says where; `None` when the partition is to be given back first.
    async fn write<P>(
        &self,
        mut sink: P,
        incoming: &Incoming,
        cause: &Cause,
        attempts: u32,
    ) -> Option<String>
    where
        P: Service<ProducerRecord, Response = RecordMetadata>,
        P::Error: Into<BoxError>,
    {
        let mut failures = 0;
        loop {
            let letter = letter(incoming.record.clone(), cause, attempts, &self.topic);
            // Once begun it is seen through: half a letter is none.
            let written = async {
                poll_fn(|cx| sink.poll_ready(cx)).await?;
                sink.call(letter).await
            };
            let error = match written.await {
                Ok(written) => {
                    self.gate.open();
                    let offset = written
                        .offset
                        .map_or_else(String::new, |at| format!(" at {at}"));
                    let (topic, partition) = (written.topic, written.partition);
                    return Some(format!(
                        "{}: {}; {topic}-{partition}{offset}",
                        cause.class, cause.message
                    ));
                }
                Err(error) => classify(error),
            };
            let reason = error.chain();
            tracing::warn!(
                topic = self.topic.as_str(),
                origin = %incoming.record.topic_partition(),
                offset = %incoming.record.offset,
                error = %reason,
                "a dead letter cannot be written; its lane waits"
            );
            self.gate
                .close(format!("a dead letter cannot be written: {reason}"));
            tokio::select! {
                biased;
                () = incoming.stopping.cancelled() => return None,
                () = sleep(self.backoff.delay(failures)) => {}
            }
            failures += 1;
        }
    }
}
