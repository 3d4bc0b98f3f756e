//! The journal of all requests to a cluster, with their outcomes.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use milena_core::{ErrorCode, TopicPartition};
use milena_protocol::ApiKey;
use milena_protocol::any::AnyRequest;
use milena_protocol::batch::BatchHeader;
use parking_lot::Mutex;
use tokio::sync::watch;

/// The newest requests of a cluster, in the order in which its brokers received them. A clone shows
/// the same requests.
///
/// The records of produced batches are dropped, but the headers of the batches are kept.
#[derive(Clone, Debug)]
pub struct Journal(Arc<SharedJournal>);

/// The state that all clones share.
#[derive(Debug)]
struct SharedJournal {
    /// The largest number of requests kept. 0 turns the journal off.
    capacity: usize,
    /// The requests.
    state: Mutex<JournalState>,
    /// Counts the changes, which wakes those that wait for a request.
    changes: watch::Sender<u64>,
}

/// The requests that are kept.
#[derive(Debug, Default)]
struct JournalState {
    /// The number of the next request. Only grows.
    next: u64,
    /// The newest requests, oldest first. At most `capacity`.
    entries: VecDeque<Arc<Entry>>,
}

/// One request. Its outcome is added when it ends.
#[derive(Debug)]
pub struct Entry {
    /// The number in the order of all requests, from 0.
    pub(crate) number: u64,
    /// The broker that it was sent to.
    pub(crate) node: i32,
    /// The number of its connection.
    pub(crate) connection: u64,
    /// The API.
    pub(crate) api: ApiKey,
    /// The version of the API.
    pub(crate) version: i16,
    /// The correlation id.
    pub(crate) correlation_id: i32,
    /// The client id. `None` if the client sent none.
    pub(crate) client_id: Option<Arc<str>>,
    /// The topics and partitions that it is about. -1 stands for a whole topic.
    pub(crate) partitions: Vec<(String, i32)>,
    /// The message without its records. `None` if its bytes did not decode.
    pub(crate) message: Option<AnyRequest>,
    /// The outcome. Empty while the broker works on the request. Set once.
    pub(crate) outcome: OnceLock<Outcome>,
}

/// The outcome of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The end of the request for the client.
    pub fate: Fate,
    /// The error codes in the answer, in their order.
    pub errors: Vec<ErrorCode>,
    /// The names of the faults that applied.
    pub faults: Vec<String>,
}

/// The end of a request for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The request was answered.
    Answered,
    /// The request asked for no answer (acks=0).
    NoneWanted,
    /// The request was never answered.
    Silent,
    /// The connection was closed before or within the answer.
    Disconnected,
}

impl Journal {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(SharedJournal {
            capacity,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        }))
    }

    /// Returns true if requests are kept.
    pub(crate) fn is_on(&self) -> bool {
        self.0.capacity > 0
    }

    /// Adds a request and drops the oldest one if the journal is full. `entry` gets the request's
    /// number.
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

    /// Sets the outcome of a request.
    pub(crate) fn end(&self, entry: &Entry, outcome: Outcome) {
        // A request ends once. If it ended twice, the first outcome would be the one that the
        // client saw.
        let _ = entry.outcome.set(outcome);
        self.changed();
    }

    /// Wakes those that wait for a request.
    fn changed(&self) {
        self.0.changes.send_modify(|count| *count += 1);
    }

    /// Returns all requests that are kept, oldest first.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.0.state.lock().entries.iter().cloned().collect()
    }

    /// Returns the requests of `api`, oldest first.
    pub fn requests(&self, api: ApiKey) -> Vec<Arc<Entry>> {
        self.matching(|entry| entry.api == api)
    }

    /// Returns the requests that `wanted` accepts, oldest first.
    pub fn matching(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let state = self.0.state.lock();
        state
            .entries
            .iter()
            .filter(|entry| wanted(entry))
            .cloned()
            .collect()
    }

    /// Drops all requests so far.
    pub fn clear(&self) {
        self.0.state.lock().entries.clear();
    }

    /// Returns the first kept or future request that `wanted` accepts. Each is tested when it
    /// arrives and again when it ends.
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
            // Cannot fail, because `self` holds the sender.
            let _ = changes.changed().await;
        }
    }
}

impl Entry {
    /// Returns the number in the order of all requests, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the broker that received it.
    pub fn node(&self) -> i32 {
        self.node
    }

    /// Returns the number of its connection.
    pub fn connection(&self) -> u64 {
        self.connection
    }

    /// Returns the API.
    pub fn api(&self) -> ApiKey {
        self.api
    }

    /// Returns the version of the API.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Returns the correlation id.
    pub fn correlation_id(&self) -> i32 {
        self.correlation_id
    }

    /// Returns the client id, or `None` if the client sent none.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Returns the topics and partitions that it is about. -1 stands for a whole topic.
    pub fn partitions(&self) -> &[(String, i32)] {
        &self.partitions
    }

    /// Returns true if it is about `topic`.
    pub fn is_about(&self, topic: &str) -> bool {
        self.partitions.iter().any(|(name, _)| name == topic)
    }

    /// Returns its outcome, or `None` while the broker works on it.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Returns the batches of a Produce request, with their partition and the header as it was
    /// sent.
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

    /// Returns the decoded request, with produced batches cut to their headers. Returns `None` if
    /// its bytes did not decode and the broker closed the connection.
    #[doc(hidden)]
    pub fn message(&self) -> Option<&AnyRequest> {
        self.message.as_ref()
    }
}
