//! The layer that writes dead letters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Gate, TopicName};
use tower_layer::Layer;

use super::service::{DeadLetter, Desk};
use crate::stack::{Kind, Profile, StackLayer};

/// Writes what cannot be processed to a topic of its own. Stands outside retry. A clone shares the gate.
#[derive(Clone)]
pub struct DeadLetterLayer<P> {
    desk: Arc<Desk>,
    sink: P,
}

impl<P> DeadLetterLayer<P> {
    /// Writes to `topic` by `sink`: a producer, or any tower service that answers once a broker has the record.
    pub fn new(topic: impl Into<TopicName>, sink: P) -> Self {
        let topic = topic.into();
        Self {
            desk: Arc::new(Desk {
                gate: Gate::new(format!("dead-letter:{topic}")),
                topic,
                backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            }),
            sink,
        }
    }

    /// The waits between tries to write a letter; there is no limit to their number. Default 100 ms to 10 s.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.desk = Arc::new(Desk {
            backoff,
            gate: self.desk.gate.clone(),
            topic: self.desk.topic.clone(),
        });
        self
    }

    /// The gate that is closed while letters cannot be written.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.desk.gate.clone()
    }
}

impl<S, P: Clone> Layer<S> for DeadLetterLayer<P> {
    type Service = DeadLetter<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadLetter::new(inner, self.sink.clone(), Arc::clone(&self.desk))
    }
}

impl<P> StackLayer for DeadLetterLayer<P> {
    fn profile(&self) -> Profile {
        let text = format!("to `{}`, acknowledged first", self.desk.topic);
        let profile = Profile::new(Kind::DeadLetter, text);
        profile.gate(self.desk.gate.clone()).dead_letters()
    }
}

impl<P> fmt::Debug for DeadLetterLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterLayer")
            .field("topic", &self.desk.topic)
            .finish_non_exhaustive()
    }
}
