//! The layer that sends the records of a handler.

use std::fmt;

use milena_core::{TopicName, WriteName, WriteTarget};
use tower_layer::Layer;

use super::service::Emit;
use crate::stack::{Kind, Profile, StackLayer};

/// Sends the records that the handler emitted. Belongs inside retry, and outside breaker and
/// timeout.
#[derive(Clone)]
pub struct EmitLayer<P> {
    /// Writes the emitted records.
    sink: P,
    /// The topics that must exist before the first record.
    topics: Vec<TopicName>,
}

impl<P> EmitLayer<P> {
    /// Creates a layer that sends through `sink`. A sink is a producer, or any tower service that
    /// answers once a broker has the record.
    pub fn new(sink: P) -> Self {
        Self {
            sink,
            topics: Vec::new(),
        }
    }

    /// Adds topics that the handler emits records to.
    ///
    /// Each must exist before the first record is processed. Otherwise the run ends with an error
    /// that tells how to create it. Default none, in which case a missing topic fails attempts.
    #[must_use]
    pub fn add_topics<I>(mut self, topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }
}

impl<S, P: Clone> Layer<S> for EmitLayer<P> {
    type Service = Emit<S, P>;

    fn layer(&self, inner: S) -> Emit<S, P> {
        Emit::new(inner, self.sink.clone())
    }
}

impl<P> StackLayer for EmitLayer<P> {
    fn profile(&self) -> Profile {
        let profile = Profile::new(Kind::Emit, "the handler's records, acknowledged first");
        let target = |topic: &TopicName| WriteTarget {
            what: "emitted records",
            to: WriteName::Topic(topic.clone()),
            same_cluster: true,
        };
        let targets = self.topics.iter().map(target);
        targets.fold(profile, Profile::writes)
    }
}

impl<P> fmt::Debug for EmitLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmitLayer").finish_non_exhaustive()
    }
}
