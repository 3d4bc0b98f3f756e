//! A setting by its key: where it belongs, what may be written, and what it does.

use std::fmt;
use std::sync::Arc;

use milena_consumer::{AssignedConsumerBuilder, ConsumerBuilder};
use milena_producer::ProducerBuilder;

use super::value::Raw;
use super::{client_keys, consumer_keys, producer_keys};
use crate::builder::ClientBuilder;

/// Whom a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Section {
    /// All that share the client; at the top of a file.
    Client,
    /// Producers; under `producer`.
    Producer,
    /// Consumers; under `consumer`.
    Consumer,
}

/// A setting that files, the environment and properties can give.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Key {
    /// Whom it belongs to.
    pub section: Section,
    /// Its name, which is that of the builder's method.
    pub name: &'static str,
    /// Kafka's name for it; empty where Kafka has none.
    pub kafka: &'static str,
    /// What may be written.
    pub allowed: &'static str,
    /// The default; empty where there is none.
    pub default: &'static str,
    /// What it does, in a phrase.
    pub about: &'static str,
    pub(crate) why: fn(&Raw) -> Option<String>,
    pub(crate) read: fn(&Raw) -> Option<Change>,
}

/// What a setting does to its builder.
pub(crate) enum Change {
    Client(Box<dyn FnOnce(ClientBuilder) -> ClientBuilder>),
    Producer(ProducerChange),
    Consumer(ConsumerChange),
}

/// A change of each producer that the client makes.
pub(crate) type ProducerChange = Arc<dyn Fn(ProducerBuilder) -> ProducerBuilder + Send + Sync>;

/// A change of each consumer that the client makes.
#[derive(Clone)]
pub(crate) struct ConsumerChange {
    /// In a group.
    pub(crate) member: Arc<dyn Fn(ConsumerBuilder) -> ConsumerBuilder + Send + Sync>,
    /// Without a group; `None` where the setting says nothing to it.
    pub(crate) assigned:
        Option<Arc<dyn Fn(AssignedConsumerBuilder) -> AssignedConsumerBuilder + Send + Sync>>,
}

impl Key {
    /// Its name with its section, as `producer.linger`.
    #[must_use]
    pub fn path(&self) -> String {
        match self.section.name() {
            None => self.name.to_owned(),
            Some(section) => format!("{section}.{}", self.name),
        }
    }

    /// The variable of the environment that gives it, as `MILENA_PRODUCER_LINGER`.
    #[must_use]
    pub fn variable(&self) -> String {
        let path = self.path().replace('.', "_");
        format!("MILENA_{}", path.to_ascii_uppercase())
    }
}

impl Section {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Producer, Self::Consumer];

    /// Its name in a file; `None` is the top.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Client => None,
            Self::Producer => Some("producer"),
            Self::Consumer => Some("consumer"),
        }
    }

    /// Its settings.
    pub(crate) const fn keys(self) -> &'static [Key] {
        match self {
            Self::Client => client_keys::KEYS,
            Self::Producer => producer_keys::KEYS,
            Self::Consumer => consumer_keys::KEYS,
        }
    }

    /// The setting of that name.
    pub(crate) fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().iter().find(|key| key.name == name)
    }
}

/// All settings, in the order of the documents.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    Section::ALL.into_iter().flat_map(Section::keys)
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("path", &self.path())
            .field("kafka", &self.kafka)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}
