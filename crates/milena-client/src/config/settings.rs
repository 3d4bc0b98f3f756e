//! The settings of a client for the producers and consumers that it makes.

use std::collections::BTreeMap;
use std::fmt;

use milena_consumer::{AssignedConsumerBuilder, ConsumerBuilder};
use milena_producer::ProducerBuilder;

use super::change::{ConsumerChange, ProducerChange};
use super::entry::{Entry, is_secret};
use super::key::Key;

/// The settings so far. A later setting of a key replaces an earlier one.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// The changes to each producer, by key.
    producer: BTreeMap<&'static str, ProducerChange>,
    /// The changes to each consumer, by key.
    consumer: BTreeMap<&'static str, ConsumerChange>,
    /// The values as they were written, by path, for people. Secrets are hidden.
    shown: BTreeMap<String, String>,
}

impl Settings {
    /// Keeps the value of a setting, for people.
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

    /// Applies the settings to a producer.
    pub(crate) fn producer(&self, builder: ProducerBuilder) -> ProducerBuilder {
        let changes = self.producer.values();
        changes.fold(builder, |builder, change| change(builder))
    }

    /// Applies the settings to a consumer in a group.
    pub(crate) fn member(&self, builder: ConsumerBuilder) -> ConsumerBuilder {
        let changes = self.consumer.values();
        changes.fold(builder, |builder, change| (change.member)(builder))
    }

    /// Applies the settings to a consumer without a group.
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
