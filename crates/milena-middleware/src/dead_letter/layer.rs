//! The layer that writes dead letters.

use std::fmt;
use std::sync::Arc;

use milena_core::{Backoff, Gate, TopicName, WriteName, WriteTarget};
use tower_layer::Layer;

use super::dialect::Dialect;
use super::letter::{Form, MESSAGE_CAP};
use super::service::{DeadLetter, Office};
use crate::desk::{Desk, Size};
use crate::stack::{Kind, Profile, StackLayer};

/// Writes what cannot be processed to a topic of its own. Stands outside retry. A clone shares the gate.
#[derive(Clone)]
pub struct DeadLetterLayer<P> {
    office: Arc<Office>,
    sink: P,
}

/// What becomes of a record whose dead letter is refused for what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refused {
    /// A letter without the value is written: with the headers, the cause, where it came from, and a header that says what is missing. The
    /// record itself can be read where it came from, while that is kept.
    #[default]
    Stub,
    /// Its lane stops, and nothing behind it is processed.
    StopLane,
}

impl<P> DeadLetterLayer<P> {
    /// Writes to `topic` by `sink`: a producer, or any tower service that answers once a broker has the record.
    pub fn new(topic: impl Into<TopicName>, sink: P) -> Self {
        let topic = topic.into();
        Self {
            office: Arc::new(Office {
                desk: Desk {
                    least: Size::Bare,
                    ..Desk::new("dead letter", format!("dead-letter:{topic}"))
                },
                same_cluster: true,
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
    /// the same, it is written again without the text and the other dialects, and then as [`on_refused`](Self::on_refused) says.
    #[must_use]
    pub fn message_cap(self, bytes: usize) -> Self {
        self.with(|office| office.form.cap = bytes)
    }

    /// What becomes of a record whose letter its topic refuses for what it is: too large even without words, say, or without a key where
    /// the topic is compacted. Default [`Refused::Stub`].
    #[must_use]
    pub fn on_refused(self, refused: Refused) -> Self {
        self.with(|office| {
            office.desk.least = match refused {
                Refused::Stub => Size::Bare,
                Refused::StopLane => Size::Short,
            };
        })
    }

    /// Says that the sink writes to another cluster than the consumer reads from, which then is not asked for the topic. Default not: a
    /// topic that is missing is an error before the first record.
    #[must_use]
    pub fn on_another_cluster(self) -> Self {
        self.with(|office| office.same_cluster = false)
    }

    /// The gate that is closed while letters cannot be written.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.office.desk.troubles.gate().clone()
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
        let target = WriteTarget {
            what: "dead letters",
            to: WriteName::Topic(self.office.form.topic.clone()),
            same_cluster: self.office.same_cluster,
        };
        let profile = match self.office.desk.least {
            Size::Full | Size::Short => {
                profile.note("a letter that its topic refuses for what it is stops its lane")
            }
            Size::Stub | Size::Bare => profile,
        };
        profile
            .gate(self.gate())
            .gauges(Arc::new(self.office.desk.troubles.clone()))
            .writes(target)
            .dead_letters()
    }
}

impl<P> fmt::Debug for DeadLetterLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterLayer")
            .field("topic", &self.office.form.topic)
            .finish_non_exhaustive()
    }
}
