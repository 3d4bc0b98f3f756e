//! The layer that sends failed records to retry topics.

use std::fmt;
use std::sync::Arc;

use milena_core::{Backoff, Gate, Timestamp, WallClock, WriteName, WriteTarget};
use tower_layer::Layer;

use super::service::{DelayedRetry, RetryRules};
use super::topics::RetryTopics;
use crate::desk::Desk;
use crate::stack::{Kind, Profile, StackLayer};

/// Sends failed records to retry topics. Belongs inside the dead letter layer and outside retry. A
/// clone shares the gate.
#[derive(Clone)]
pub struct DelayedRetryLayer<P> {
    /// The state that all lanes share.
    rules: Arc<RetryRules>,
    /// Writes the records to retry topics.
    sink: P,
}

impl<P> DelayedRetryLayer<P> {
    /// Creates a layer that writes to these topics through `sink`. A sink is a producer, or any
    /// tower service that answers once a broker has the record.
    pub fn new(topics: RetryTopics, sink: P) -> Self {
        let suffix = topics.suffixes().next().unwrap_or_default();
        Self {
            rules: Arc::new(RetryRules {
                topics,
                desk: Desk::new(
                    "record for a retry topic",
                    format!("delayed-retry:*{suffix}"),
                ),
                clock: None,
                same_cluster: true,
            }),
            sink,
        }
    }

    /// Sets the wait between two tries to write a record. The number of tries has no limit. Default
    /// 100 ms to 10 s.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|rules| rules.desk.backoff = backoff)
    }

    /// Sets the wall clock that decides when records are due. Default is the consumer's.
    #[must_use]
    pub fn clock(self, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.with(|rules| rules.clock = Some(WallClock::new(read)))
    }

    /// Declares that the sink writes to another cluster than the consumer reads from.
    ///
    /// The consumer's cluster is then not asked for the topics. By default it is, and a missing
    /// topic is an error before the first record.
    #[must_use]
    pub fn on_another_cluster(self) -> Self {
        self.with(|rules| rules.same_cluster = false)
    }

    /// Returns the gate that is closed while records cannot be written to a retry topic.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.rules.desk.troubles.gate().clone()
    }

    fn with(mut self, change: impl FnOnce(&mut RetryRules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }
}

impl<S, P: Clone> Layer<S> for DelayedRetryLayer<P> {
    type Service = DelayedRetry<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        DelayedRetry::new(inner, self.sink.clone(), Arc::clone(&self.rules))
    }
}

impl<P> StackLayer for DelayedRetryLayer<P> {
    fn profile(&self) -> Profile {
        let topics = &self.rules.topics;
        let delays: Vec<_> = topics.delays().iter().map(|d| format!("{d:?}")).collect();
        let text = format!(
            "up to {} more rounds, after {}",
            delays.len(),
            delays.join(", ")
        );
        let mut profile = Profile::new(Kind::DelayedRetry, text)
            .gate(self.gate())
            .gauges(Arc::new(self.rules.desk.troubles.clone()))
            .asks_for_clock()
            .retries()
            .rounds(delays.len())
            .retry_topics(topics.suffixes());
        for suffix in topics.suffixes() {
            profile = profile.writes(WriteTarget {
                what: "retries",
                to: WriteName::Suffix(suffix),
                same_cluster: self.rules.same_cluster,
            });
        }
        profile
    }
}

impl<P> fmt::Debug for DelayedRetryLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedRetryLayer")
            .field("topics", &self.rules.topics)
            .finish_non_exhaustive()
    }
}
