//! Every request that a cluster saw, and what became of it.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use milena_core::{ErrorCode, TopicPartition};
use milena_protocol::ApiKey;
use milena_protocol::any::AnyRequest;
use milena_protocol::batch::BatchHeader;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The newest requests of a cluster, in the order in which its brokers took them up.
///
/// Record bytes are not kept, but the headers of produced batches are.
#[derive(Clone, Debug)]
pub struct Journal(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    entries: VecDeque<Arc<Entry>>,
}

/// One request.
#[derive(Debug)]
pub struct Entry {
    pub(crate) number: u64,
    pub(crate) node: i32,
    pub(crate) connection: u64,
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: Option<Arc<str>>,
    pub(crate) partitions: Vec<(String, i32)>,
    /// `None` where the bytes do not decode.
    pub(crate) message: Option<AnyRequest>,
    pub(crate) outcome: OnceLock<Outcome>,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended for the client.
    pub fate: Fate,
    /// The error codes in the answer, in its order.
    pub errors: Vec<ErrorCode>,
    /// The names of the faults that fired.
    pub faults: Vec<String>,
}

/// How a request ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It was answered.
    Answered,
    /// It asked for no answer (acks=0).
    NoneWanted,
    /// It was never answered.
    Silent,
    /// The connection was closed instead, or in the middle of the answer.
    Disconnected,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            capacity,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        }))
    }

    /// Whether requests are kept at all.
    pub(crate) fn is_on(&self) -> bool {
        self.0.capacity > 0
    }

    pub(crate) fn add(&self, entry: impl FnOnce(u64) -> Entry) -> Arc<Entry> {
        let mut state = self.0.state.lock();
        let entry = Arc::new(entry(state.next));
        state.next += 1;
        if state.entries.len() >= self.0.capacity {
            state.entries.pop_front();
        }
        state.entries.push_back(Arc::clone(&entry));
        drop(state);
        self.changed();
        entry
    }

    pub(crate) fn end(&self, entry: &Entry, outcome: Outcome) {
        // A request ends once; were it to end again, the first outcome is the one the client saw.
        let _ = entry.outcome.set(outcome);
        self.changed();
    }

    fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }

    /// All requests kept, the oldest first.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.0.state.lock().entries.iter().cloned().collect()
    }

    /// The requests of `api`, the oldest first.
    pub fn requests(&self, api: ApiKey) -> Vec<Arc<Entry>> {
        self.matching(|entry| entry.api == api)
    }

    /// The requests that `wanted` picks, the oldest first.
    pub fn matching(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let state = self.0.state.lock();
        state
            .entries
            .iter()
            .filter(|entry| wanted(entry))
            .cloned()
            .collect()
    }

    /// Forgets all requests so far.
    pub fn clear(&self) {
        self.0.state.lock().entries.clear();
    }

    /// The first kept or coming request that `wanted` picks; looked at when it arrives and when it ends.
    ///
    /// Waits without a deadline.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn wait_for(&self, wanted: impl Fn(&Entry) -> bool) -> Arc<Entry> {
        let mut changes = self.0.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if let Some(found) = self
                .0
                .state
                .lock()
                .entries
                .iter()
                .find(|entry| wanted(entry))
            {
                return Arc::clone(found);
            }
            // The sender lives in `self`.
            let _ = changes.changed().await;
        }
    }
}

impl Entry {
    /// Its place in the order of all requests, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The broker that took it.
    pub fn node(&self) -> i32 {
        self.node
    }

    /// The connection it came on; each has a number of its own.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// The API.
    pub fn api(&self) -> ApiKey {
        self.api
    }

    /// The version of the API.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The correlation id.
    pub fn correlation_id(&self) -> i32 {
        self.correlation_id
    }

    /// The name that the client gave itself.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The partitions it is about, by topic and number; -1 stands for a whole topic.
    pub fn partitions(&self) -> &[(String, i32)] {
        &self.partitions
    }

    /// Whether it is about `topic`.
    pub fn is_about(&self, topic: &str) -> bool {
        self.partitions.iter().any(|(name, _)| name == topic)
    }

    /// What became of it; `None` while the broker is at it.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// The batches of a Produce request: where to, and the header as it was sent.
    pub fn batches(&self) -> Vec<(TopicPartition, BatchHeader)> {
        let Some(AnyRequest::Produce(request)) = &self.message else {
            return Vec::new();
        };
        let sent = request
            .topic_data
            .iter()
            .flat_map(|topic| &topic.partition_data);
        sent.zip(&self.partitions)
            .filter_map(|(data, (topic, index))| {
                let header = BatchHeader::parse(data.records.as_deref()?).ok()?;
                let place = TopicPartition::new(topic.as_str(), u32::try_from(*index).ok()?);
                Some((place, header))
            })
            .collect()
    }

    /// The decoded request, its produced batches cut to their headers; `None` where its bytes did not decode and the broker
    /// closed the connection.
    #[doc(hidden)]
    pub fn message(&self) -> Option<&AnyRequest> {
        self.message.as_ref()
    }
}
