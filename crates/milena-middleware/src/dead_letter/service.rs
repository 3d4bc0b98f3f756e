//! The service that writes dead letters.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use milena_core::{
    BoxError, CancelToken, ErrorClass, Incoming, Outcome, ProcessError, ProducerRecord,
    RecordMetadata, SharedRecord,
};
use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::letter::{Cause, Form};
use crate::desk::{Desk, Size, Written};
use crate::readiness::classify;

/// The service that [`DeadLetterLayer`](super::DeadLetterLayer) makes.
#[derive(Debug)]
pub struct DeadLetter<S, P> {
    inner: S,
    shared: Arc<SharedDeadLetter<P>>,
}

/// The state that all clones of a lane's service share.
#[derive(Debug)]
struct SharedDeadLetter<P> {
    /// The state of the layer.
    rules: Arc<LetterRules>,
    // The sink, cloned for each letter. The lock makes it shareable, because it need not be `Sync`.
    sink: Mutex<P>,
}

/// The state that all lanes share.
#[derive(Clone, Debug)]
pub(super) struct LetterRules {
    /// Writes the letters, and owns the gate.
    pub(super) desk: Desk,
    /// The form of the letters.
    pub(super) form: Form,
    /// True if the topic is on the consumer's cluster, which is then asked for it.
    pub(super) same_cluster: bool,
}

impl<S, P: Clone> DeadLetter<S, P> {
    pub(super) fn new(inner: S, sink: &P, rules: &Arc<LetterRules>) -> Self {
        let shared = SharedDeadLetter {
            rules: Arc::clone(rules),
            sink: Mutex::new(sink.clone()),
        };
        Self {
            inner,
            shared: Arc::new(shared),
        }
    }
}

impl<S: Clone, P> Clone for DeadLetter<S, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, P> Service<Incoming> for DeadLetter<S, P>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
    P: Service<ProducerRecord, Response = RecordMetadata> + Clone + Send + 'static,
    P::Error: Into<BoxError>,
    P::Future: Send,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = DeadLetterFuture<S::Future, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        incoming.record.note_attempts(incoming.attempt);
        let kept = KeptRecord {
            record: incoming.record.clone(),
            cancel: incoming.cancel.clone(),
            stopping: incoming.stopping.clone(),
        };
        DeadLetterFuture {
            state: State::Processing {
                inner: self.inner.call(incoming),
            },
            kept: Some((kept, Arc::clone(&self.shared))),
        }
    }
}

/// The parts of a request that a letter needs.
struct KeptRecord {
    /// The record as it came to the layer.
    record: SharedRecord,
    /// Cancelled when the partition was given back and the time to drain is over.
    cancel: CancelToken,
    /// Cancelled when the partition is to be given back or the consumer stops.
    stopping: CancelToken,
}

type Burying = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

pin_project! {
    /// The future of a record. If the record becomes a dead letter, it resolves once the letter is
    /// written.
    pub struct DeadLetterFuture<F, P> {
        #[pin]
        state: State<F>,
        // The record and the shared state. `None` once the attempt has ended.
        kept: Option<(KeptRecord, Arc<SharedDeadLetter<P>>)>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Processing { #[pin] inner: F },
        Burying { letter: Burying },
    }
}

impl<F, E, P> Future for DeadLetterFuture<F, P>
where
    F: Future<Output = Result<Outcome, E>>,
    E: Into<BoxError>,
    P: Service<ProducerRecord, Response = RecordMetadata> + Clone + Send + 'static,
    P::Error: Into<BoxError>,
    P::Future: Send,
{
    type Output = Result<Outcome, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = match this.state.as_mut().project() {
            StateProjection::Processing { inner } => ready!(inner.poll(cx)).map_err(classify),
            StateProjection::Burying { letter } => return letter.as_mut().poll(cx),
        };
        let Some((kept, shared)) = this.kept.take() else {
            return Poll::Ready(answer.map_err(BoxError::from));
        };
        let Some(cause) = cause(&answer, &kept) else {
            return Poll::Ready(answer.map_err(BoxError::from));
        };
        // Boxed, so that the future of a record that succeeds does not hold space for the letter.
        let mut letter: Burying = Box::pin(async move {
            let sink = shared.sink.lock().clone();
            shared.rules.bury(sink, kept, cause).await
        });
        let first = letter.as_mut().poll(cx);
        this.state.set(State::Burying { letter });
        first
    }
}

/// Returns the reason why the record becomes a dead letter, or `None` if it does not.
fn cause(answer: &Result<Outcome, ProcessError>, kept: &KeptRecord) -> Option<Cause> {
    match answer {
        Ok(Outcome::DeadLetter(reason)) => Some(Cause::rejected(reason.to_string())),
        Ok(Outcome::Retry { reason, .. }) if !kept.stopping.is_cancelled() => {
            let what = format!("asked for another attempt, but no layer retries: {reason}");
            Some(Cause::error(&ProcessError::transient(what)))
        }
        // An attempt that failed because its partition is given back is repeated by the next owner.
        Err(error) if error.class() != ErrorClass::Fatal && !kept.cancel.is_cancelled() => {
            Some(Cause::error(error))
        }
        Ok(_) | Err(_) => None,
    }
}

impl LetterRules {
    /// Writes the letter, and returns an outcome that names its place.
    async fn bury<P>(&self, sink: P, kept: KeptRecord, cause: Cause) -> Result<Outcome, BoxError>
    where
        P: Service<ProducerRecord, Response = RecordMetadata>,
        P::Error: Into<BoxError>,
    {
        if kept.record.topic == self.form.topic {
            let what = format!(
                "a record of the dead letter topic `{}` cannot be written to it again: {}",
                self.form.topic, cause.message
            );
            return Err(ProcessError::poison(what).into());
        }
        let attempts = kept.record.attempts();
        let letter = |size, refusal: Option<&ProcessError>| {
            let record = kept.record.clone().into_inner();
            self.form.letter(record, &cause, attempts, size, refusal)
        };
        let written = self.desk.write(sink, &kept.record, &kept.stopping, letter);
        let (written, size) = match written.await {
            Written::There(written, size) => (written, size),
            Written::GivenBack => {
                let what = "the partition was given back before the dead letter was written";
                return Ok(Outcome::retry(what));
            }
            // The error is final for the lane, because the record is neither done nor written
            // anywhere else.
            Written::Refused(error) => {
                let topic = &self.form.topic;
                let what =
                    format!("the dead letter topic `{topic}` refused its dead letter for good");
                return Err(error.context(&what).with_class(ErrorClass::Poison).into());
            }
        };
        let (topic, partition) = (written.topic, written.partition);
        let offset = written
            .offset
            .map_or_else(String::new, |at| format!(" at {at}"));
        let stub = match size {
            Size::Full | Size::Short => "",
            Size::Stub | Size::Bare => ", without its value",
        };
        let Cause { class, message, .. } = cause;
        Ok(Outcome::DeadLettered(
            format!("{class}: {message}; {topic}-{partition}{offset}{stub}").into(),
        ))
    }
}
