//! The layer that writes dead letters.

use std::fmt;
use std::sync::Arc;

use milena_core::{Backoff, Gate, TopicName, WriteName, WriteTarget};
use tower_layer::Layer;

use super::dialect::Dialect;
use super::letter::{Form, MESSAGE_CAP};
use super::service::{DeadLetter, LetterRules};
use crate::desk::{Desk, Size};
use crate::stack::{Kind, Profile, StackLayer};

/// Writes records that cannot be processed to a dead letter topic. Belongs outside retry. A clone
/// shares the gate.
#[derive(Clone)]
pub struct DeadLetterLayer<P> {
    /// The state that all lanes share.
    rules: Arc<LetterRules>,
    /// Writes the letters.
    sink: P,
}

/// The action for a record whose dead letter is refused because of its content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Refused {
    /// Writes a letter without the value.
    ///
    /// The letter holds the headers, the cause, the origin, and a header that names the missing
    /// parts. The record itself can be read at its origin until it is deleted there.
    #[default]
    Stub,
    /// Stops the lane, so that nothing behind the record is processed.
    StopLane,
}

impl<P> DeadLetterLayer<P> {
    /// Creates a layer that writes to `topic` through `sink`. A sink is a producer, or any tower
    /// service that answers once a broker has the record.
    pub fn new(topic: impl Into<TopicName>, sink: P) -> Self {
        let topic = topic.into();
        Self {
            rules: Arc::new(LetterRules {
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

    /// Sets the wait between two tries to write a letter. The number of tries has no limit. Default
    /// 100 ms to 10 s.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|rules| rules.desk.backoff = backoff)
    }

    /// Adds the headers of another dialect, for tools that read it. May be called several times. By
    /// default a letter has only milena's own headers.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Self {
        self.with(|rules| {
            if dialect != Dialect::Milena {
                rules.form.dialects.push(dialect);
            }
        })
    }

    /// Sets the group that letters name. Default none.
    #[must_use]
    pub fn group(self, group: impl Into<String>) -> Self {
        self.with(|rules| rules.form.group = Some(group.into()))
    }

    /// Sets the most bytes of an error's text in a letter. Default 1,024.
    ///
    /// The limit keeps a letter from outgrowing a size limit that its record met. If the letter is
    /// too large anyway, it is written again without the text and the other dialects. If that is
    /// refused too, [`on_refused`](Self::on_refused) decides.
    #[must_use]
    pub fn message_cap(self, bytes: usize) -> Self {
        self.with(|rules| rules.form.cap = bytes)
    }

    /// Sets the action for a record whose letter is refused because of its content. Default
    /// [`Refused::Stub`].
    ///
    /// For example, the letter may be too large even without the error text, or may have no key
    /// although the topic is compacted.
    #[must_use]
    pub fn on_refused(self, refused: Refused) -> Self {
        self.with(|rules| {
            rules.desk.least = match refused {
                Refused::Stub => Size::Bare,
                Refused::StopLane => Size::Short,
            };
        })
    }

    /// Declares that the sink writes to another cluster than the consumer reads from.
    ///
    /// The consumer's cluster is then not asked for the topic. By default it is, and a missing
    /// topic is an error before the first record.
    #[must_use]
    pub fn on_another_cluster(self) -> Self {
        self.with(|rules| rules.same_cluster = false)
    }

    /// Returns the gate that is closed while letters cannot be written.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.rules.desk.troubles.gate().clone()
    }

    fn with(mut self, change: impl FnOnce(&mut LetterRules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }
}

impl<S, P: Clone> Layer<S> for DeadLetterLayer<P> {
    type Service = DeadLetter<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadLetter::new(inner, &self.sink, &self.rules)
    }
}

impl<P> StackLayer for DeadLetterLayer<P> {
    fn profile(&self) -> Profile {
        let text = format!("to `{}`, acknowledged first", self.rules.form.topic);
        let profile = Profile::new(Kind::DeadLetter, text);
        let target = WriteTarget {
            what: "dead letters",
            to: WriteName::Topic(self.rules.form.topic.clone()),
            same_cluster: self.rules.same_cluster,
        };
        let profile = match self.rules.desk.least {
            Size::Full | Size::Short => {
                profile.note("a letter that is refused because of its content stops its lane")
            }
            Size::Stub | Size::Bare => profile,
        };
        profile
            .gate(self.gate())
            .gauges(Arc::new(self.rules.desk.troubles.clone()))
            .writes(target)
            .dead_letters()
    }
}

impl<P> fmt::Debug for DeadLetterLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterLayer")
            .field("topic", &self.rules.form.topic)
            .finish_non_exhaustive()
    }
}
