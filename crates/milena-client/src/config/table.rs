//! The table of all settings.

use super::key::Key;
use super::section::Section;
use super::{client_keys, consumer_keys, producer_keys};

/// Returns all settings, in the order of the documentation.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    Section::ALL.into_iter().flat_map(Section::keys)
}

impl Section {
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
