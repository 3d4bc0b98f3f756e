//! The layer that writes dead letters.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Gate, TopicName};
use tower_layer::Layer;

use super::dialect::Dialect;
use super::letter::{Form, MESSAGE_CAP};
use super::service::{DeadLetter, Office};
use crate::desk::Desk;
use crate::stack::{Kind, Profile, StackLayer};

/// Writes what cannot be processed to a topic of its own. Stands outside retry. A clone shares the gate.
#[derive(Clone)]
pub struct DeadLetterLayer<P> {
    office: Arc<Office>,
    sink: P,
}

impl<P> DeadLetterLayer<P> {
    /// Writes to `topic` by `sink`: a producer, or any tower service that answers once a broker has the record.
    pub fn new(topic: impl Into<TopicName>, sink: P) -> Self {
        let topic = topic.into();
        Self {
            office: Arc::new(Office {
                desk: Desk {
                    what: "dead letter",
                    gate: Gate::new(format!("dead-letter:{topic}")),
                    backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
                },
                form: Form {
                    topic,
                    dialects: Vec::new(),
                    group: None,
                    cap: MESSAGE_CAP,
                },
            }),
            sink,
        }
    }

    /// The waits between tries to write a letter; there is no limit to their number. Default 100 ms to 10 s.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|office| office.desk.backoff = backoff)
    }

    /// Writes the headers of another dialect too, for the tools that know it; may be called for several. Default only milena's own.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Self {
        self.with(|office| {
            if dialect != Dialect::Milena {
                office.form.dialects.push(dialect);
            }
        })
    }

    /// Names the group in the letters. Default not.
    #[must_use]
    pub fn group(self, group: impl Into<String>) -> Self {
        self.with(|office| office.form.group = Some(group.into()))
    }

    /// The most bytes of an error's text in a letter. Default 1,024: a letter must not outgrow the limit that its record kept. If it does all
    /// the same, it is written again without the text and the other dialects.
    #[must_use]
    pub fn message_cap(self, bytes: usize) -> Self {
        self.with(|office| office.form.cap = bytes)
    }

    /// The gate that is closed while letters cannot be written.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.office.desk.gate.clone()
    }

    fn with(mut self, change: impl FnOnce(&mut Office)) -> Self {
        change(Arc::make_mut(&mut self.office));
        self
    }
}

impl<S, P: Clone> Layer<S> for DeadLetterLayer<P> {
    type Service = DeadLetter<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadLetter::new(inner, &self.sink, &self.office)
    }
}

impl<P> StackLayer for DeadLetterLayer<P> {
    fn profile(&self) -> Profile {
        let text = format!("to `{}`, acknowledged first", self.office.form.topic);
        let profile = Profile::new(Kind::DeadLetter, text);
        profile.gate(self.gate()).dead_letters()
    }
}

impl<P> fmt::Debug for DeadLetterLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterLayer")
            .field("topic", &self.office.form.topic)
            .finish_non_exhaustive()
    }
}
