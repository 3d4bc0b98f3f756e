//! A setting by its key. Holds its section, the values that it accepts, and its meaning.

use std::fmt;
use std::sync::Arc;

use milena_consumer::{AssignedConsumerBuilder, ConsumerBuilder};
use milena_producer::ProducerBuilder;

use super::value::Raw;
use super::{client_keys, consumer_keys, producer_keys};
use crate::builder::ClientBuilder;

/// The part of the client that a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Section {
    /// Settings that everything made by the client shares. At the top level of a file.
    Client,
    /// Settings of producers. In the section `producer`.
    Producer,
    /// Settings of consumers. In the section `consumer`.
    Consumer,
}

/// A setting that files, the environment and properties can give.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Key {
    /// The part of the client that it belongs to.
    pub section: Section,
    /// Its name, which is also the name of the builder's method.
    pub name: &'static str,
    /// Kafka's name for it. Empty if Kafka has none.
    pub kafka: &'static str,
    /// The values that it accepts, for people.
    pub allowed: &'static str,
    /// The default. Empty if there is none.
    pub default: &'static str,
    /// Its meaning, as a phrase.
    pub about: &'static str,
    /// Explains why a value is refused. `None` if `allowed` says enough.
    pub(crate) why: fn(&Raw) -> Option<String>,
    /// Converts a value to the change of a builder. `None` if the value is refused.
    pub(crate) read: fn(&Raw) -> Option<Change>,
}

/// The change that a setting makes to its builder.
pub(crate) enum Change {
    Client(Box<dyn FnOnce(ClientBuilder) -> ClientBuilder>),
    Producer(ProducerChange),
    Consumer(ConsumerChange),
}

/// A change to each producer that the client makes.
pub(crate) type ProducerChange = Arc<dyn Fn(ProducerBuilder) -> ProducerBuilder + Send + Sync>;

/// A change to each consumer that the client makes.
#[derive(Clone)]
pub(crate) struct ConsumerChange {
    /// The change to a consumer in a group.
    pub(crate) member: Arc<dyn Fn(ConsumerBuilder) -> ConsumerBuilder + Send + Sync>,
    /// The change to a consumer without a group. `None` if the setting does not apply to it.
    pub(crate) assigned:
        Option<Arc<dyn Fn(AssignedConsumerBuilder) -> AssignedConsumerBuilder + Send + Sync>>,
}

impl Key {
    /// Returns its name with its section, such as `producer.linger`.
    #[must_use]
    pub fn path(&self) -> String {
        match self.section.name() {
            None => self.name.to_owned(),
            Some(section) => format!("{section}.{}", self.name),
        }
    }

    /// Returns the variable of the environment that sets it, such as `MILENA_PRODUCER_LINGER`.
    #[must_use]
    pub fn variable(&self) -> String {
        let path = self.path().replace('.', "_");
        format!("MILENA_{}", path.to_ascii_uppercase())
    }
}

impl Section {
    /// All sections, in the order of the documentation.
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Producer, Self::Consumer];

    /// Returns its name in a file. `None` is the top level.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Client => None,
            Self::Producer => Some("producer"),
            Self::Consumer => Some("consumer"),
        }
    }

    /// Returns its settings.
    pub(crate) const fn keys(self) -> &'static [Key] {
        match self {
            Self::Client => client_keys::KEYS,
            Self::Producer => producer_keys::KEYS,
            Self::Consumer => consumer_keys::KEYS,
        }
    }

    /// Returns the setting with this name.
    pub(crate) fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().iter().find(|key| key.name == name)
    }
}

/// Returns all settings, in the order of the documentation.
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
