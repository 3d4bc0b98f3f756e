//! The settings that sources gave, by the part of the client that they belong to.

use std::collections::BTreeMap;
use std::fmt;

use crate::client_keys::ClientDraft;
use crate::consumer_keys::ConsumerDraft;
use crate::producer_keys::ProducerDraft;

/// Settings as they were given. A builder reads those that are there and leaves the others as they
/// are.
///
/// `Debug` shows the values as they were written. Secrets are hidden.
#[derive(Clone, Default)]
pub struct Drafts {
    /// The settings that everything made by the client shares.
    pub client: ClientDraft,
    /// The settings of producers.
    pub producer: ProducerDraft,
    /// The settings of consumers.
    pub consumer: ConsumerDraft,
    /// The values as they were written, by path, for people. Secrets are hidden.
    shown: BTreeMap<String, String>,
}

impl Drafts {
    /// Replaces the settings that `later` has.
    pub fn merge(&mut self, later: Self) {
        self.client.merge(later.client);
        self.producer.merge(later.producer);
        self.consumer.merge(later.consumer);
        self.shown.extend(later.shown);
    }

    /// Keeps the value of a setting as it is shown to people.
    pub(crate) fn note(&mut self, path: String, shown: String) {
        self.shown.insert(path, shown);
    }
}

impl fmt::Debug for Drafts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}
