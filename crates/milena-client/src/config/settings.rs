//! What a client was told by its settings, to be handed to each producer and consumer it makes.

use std::collections::BTreeMap;
use std::fmt;

use milena_consumer::{AssignedConsumerBuilder, ConsumerBuilder};
use milena_producer::ProducerBuilder;

use super::entry::{Entry, is_secret};
use super::key::{ConsumerChange, Key, ProducerChange};

/// The settings so far; the last of a key counts.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    producer: BTreeMap<&'static str, ProducerChange>,
    consumer: BTreeMap<&'static str, ConsumerChange>,
    /// As they were written, for people.
    shown: BTreeMap<String, String>,
}

impl Settings {
    /// Keeps what a setting said, for people.
    pub(crate) fn note(&mut self, key: &Key, entry: &Entry) {
        let shown = match is_secret(key.name) {
            true => "(hidden)".to_owned(),
            false => entry.value.shown(),
        };
        self.shown.insert(key.path(), shown);
    }

    pub(crate) fn set_producer(&mut self, key: &Key, change: ProducerChange) {
        self.producer.insert(key.name, change);
    }

    pub(crate) fn set_consumer(&mut self, key: &Key, change: ConsumerChange) {
        self.consumer.insert(key.name, change);
    }

    /// Sets up a producer.
    pub(crate) fn producer(&self, builder: ProducerBuilder) -> ProducerBuilder {
        let changes = self.producer.values();
        changes.fold(builder, |builder, change| change(builder))
    }

    /// Sets up a consumer in a group.
    pub(crate) fn member(&self, builder: ConsumerBuilder) -> ConsumerBuilder {
        let changes = self.consumer.values();
        changes.fold(builder, |builder, change| (change.member)(builder))
    }

    /// Sets up a consumer without a group.
    pub(crate) fn assigned(&self, builder: AssignedConsumerBuilder) -> AssignedConsumerBuilder {
        let changes = self.consumer.values();
        let changes = changes.filter_map(|change| change.assigned.as_ref());
        changes.fold(builder, |builder, change| change(builder))
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}
