//! The service that writes dead letters.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{
    BoxError, ErrorClass, Incoming, Outcome, ProcessError, ProducerRecord, RecordMetadata,
};
use tower_service::Service;

use super::letter::{Cause, Form};
use crate::desk::Desk;
use crate::readiness::classify;
use crate::retry::AttemptCount;

/// What [`DeadLetterLayer`](super::DeadLetterLayer) makes.
#[derive(Clone, Debug)]
pub struct DeadLetter<S, P> {
    inner: S,
    sink: P,
    office: Arc<Office>,
}

/// What all lanes share.
#[derive(Clone, Debug)]
pub(super) struct Office {
    pub(super) desk: Desk,
    pub(super) form: Form,
}

impl<S, P> DeadLetter<S, P> {
    pub(super) fn new(inner: S, sink: P, office: Arc<Office>) -> Self {
        Self {
            inner,
            sink,
            office,
        }
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
        let (office, sink) = (Arc::clone(&self.office), self.sink.clone());
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
            // Boxed, so that a record that goes well does not carry the room for it.
            Box::pin(office.bury(sink, kept, cause, count.get())).await
        })
    }
}

impl Office {
    /// Writes the letter and says where.
    async fn bury<P>(
        &self,
        sink: P,
        kept: Incoming,
        cause: Cause,
        attempts: u32,
    ) -> Result<Outcome, BoxError>
    where
        P: Service<ProducerRecord, Response = RecordMetadata>,
        P::Error: Into<BoxError>,
    {
        if kept.record.topic == self.form.topic {
            let what = format!(
                "a record of the dead letter topic `{}` cannot become a dead letter of it: {}",
                self.form.topic, cause.message
            );
            return Err(ProcessError::poison(what).into());
        }
        let letter = |size| {
            let record = kept.record.clone();
            self.form.letter(record, &cause, attempts, size)
        };
        let Some(written) = self.desk.write(sink, &kept, letter).await else {
            let what = "the partition is given back before its dead letter is written";
            return Ok(Outcome::retry(what));
        };
        let (topic, partition) = (written.topic, written.partition);
        let offset = written
            .offset
            .map_or_else(String::new, |at| format!(" at {at}"));
        let Cause { class, message, .. } = cause;
        Ok(Outcome::DeadLettered(
            format!("{class}: {message}; {topic}-{partition}{offset}").into(),
        ))
    }
}
