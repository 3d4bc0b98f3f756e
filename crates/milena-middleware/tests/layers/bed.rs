//! Test records, a sink that keeps what is written, and a call of a stack as a lane makes it.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{
    BoxError, ConsumerRecord, Error, ErrorClass, ErrorKind, Incoming, Outcome, ProcessError,
    ProducerRecord, RecordMetadata, Routes,
};
use parking_lot::Mutex;
use tower::{Service, ServiceExt};

pub(crate) fn record(offset: u32) -> ConsumerRecord {
    let mut record = ConsumerRecord::new("orders", 3, offset);
    record.key = Some("key".into());
    record.value = Some(offset.to_string().into());
    record
}

pub(crate) fn incoming(offset: u32) -> Incoming {
    Incoming::new(record(offset))
}

/// Calls a route's service like a lane. Takes its own clone, and waits until it is ready.
pub(crate) async fn call<R>(stack: &R, incoming: Incoming) -> Result<Outcome, ProcessError>
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome>,
    <R::Service as Service<Incoming>>::Error: Into<BoxError>,
{
    let service = stack.service(0);
    let answer = service.oneshot(incoming).await;
    answer.map_err(|error| ProcessError::from_boxed(error.into()))
}

pub(crate) fn class(answer: &Result<Outcome, ProcessError>) -> Option<ErrorClass> {
    answer.as_ref().err().map(ProcessError::class)
}

/// A sink that keeps the written records. Its first writes can be made to fail.
#[derive(Clone, Default)]
pub(crate) struct Sink {
    pub(crate) letters: Arc<Mutex<Vec<ProducerRecord>>>,
    failures: Arc<Mutex<VecDeque<Error>>>,
}

impl Sink {
    pub(crate) fn failing(times: usize) -> Self {
        let sink = Self::default();
        let error = Error::new(ErrorKind::Timeout, "no broker answers");
        sink.failures.lock().extend(vec![error; times]);
        sink
    }

    /// Creates a sink that refuses the first record with an error of this kind.
    pub(crate) fn refusing(kind: ErrorKind) -> Self {
        let sink = Self::default();
        sink.failures.lock().push_back(Error::new(kind, "refused"));
        sink
    }

    pub(crate) fn failures_left(&self) -> usize {
        self.failures.lock().len()
    }
}

impl Service<ProducerRecord> for Sink {
    type Response = RecordMetadata;
    type Error = Error;
    type Future = Ready<Result<RecordMetadata, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, record: ProducerRecord) -> Self::Future {
        if let Some(error) = self.failures.lock().pop_front() {
            return ready(Err(error));
        }
        let written = RecordMetadata {
            topic: record.topic.clone(),
            partition: 0.into(),
            offset: None,
            timestamp: None,
        };
        self.letters.lock().push(record);
        ready(Ok(written))
    }
}
