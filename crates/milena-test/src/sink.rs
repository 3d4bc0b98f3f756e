//! A producer that keeps its records, for dead letter layers, emitters and handlers in a trial.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use milena_client::core::{
    Error, ErrorKind, Offset, Persistence, ProducerRecord, RecordMetadata, Result, TopicName,
};
use tower_service::Service;

/// A sink that takes records like a producer and keeps them. A clone is the same sink.
///
/// [`Trial`](crate::Trial) has an example.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The records so far, in order.
    records: Vec<ProducerRecord>,
    /// The next offset of each topic.
    ends: BTreeMap<TopicName, u32>,
    /// The errors for the next writes, each used once.
    failures: VecDeque<Error>,
}

impl Sink {
    /// Creates an empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fails the next `times` writes as if the broker could not be reached. Their records are not
    /// kept.
    pub fn fail(&self, times: usize) {
        let error = Error::new(ErrorKind::Transport, "the sink was told to fail");
        let error = error.with_persistence(Persistence::NotWritten);
        self.fail_with((0..times).map(|_| error.clone()));
    }

    /// Fails the next writes with these errors, each once.
    pub fn fail_with(&self, errors: impl IntoIterator<Item = Error>) {
        self.state().failures.extend(errors);
    }

    /// Returns all records so far, in order.
    #[must_use]
    pub fn records(&self) -> Vec<ProducerRecord> {
        self.state().records.clone()
    }

    /// Returns the records of one topic, in order.
    #[must_use]
    pub fn of(&self, topic: &str) -> Vec<ProducerRecord> {
        let state = self.state();
        let records = state.records.iter();
        records
            .filter(|record| record.topic == topic)
            .cloned()
            .collect()
    }

    /// Returns the values of one topic's records as text, in order. A tombstone is an empty text.
    #[must_use]
    pub fn values(&self, topic: &str) -> Vec<String> {
        let records = self.of(topic).into_iter();
        let value = |record: ProducerRecord| record.record.value.unwrap_or_default();
        records
            .map(|record| String::from_utf8_lossy(&value(record)).into_owned())
            .collect()
    }

    /// Removes the records so far and returns them.
    pub fn take(&self) -> Vec<ProducerRecord> {
        std::mem::take(&mut self.state().records)
    }

    fn write(&self, record: ProducerRecord) -> Result<RecordMetadata> {
        let mut state = self.state();
        if let Some(error) = state.failures.pop_front() {
            return Err(error.topic(&record.topic));
        }
        let end = state.ends.entry(record.topic.clone()).or_default();
        let offset = Offset::from(*end);
        *end += 1;
        let metadata = RecordMetadata {
            topic: record.topic.clone(),
            partition: record.partition.unwrap_or_else(|| 0.into()),
            offset: Some(offset),
            timestamp: None,
        };
        state.records.push(record);
        Ok(metadata)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service<ProducerRecord> for Sink {
    type Response = RecordMetadata;
    type Error = Error;
    type Future = Ready<Result<RecordMetadata>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, record: ProducerRecord) -> Self::Future {
        ready(self.write(record))
    }
}
