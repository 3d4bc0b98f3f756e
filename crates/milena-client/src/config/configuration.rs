//! The configuration of a client: its own settings, and those for its producers and consumers.

use std::path::Path;

use milena_core::Result;

use super::change::Change;
use super::entry::{Entry, Origin};
use super::file::Content;
use super::settings::Settings;
use super::value::Raw;
use super::{env, file, foreign};
use crate::draft::ClientDraft;

/// The settings of a client that is not connected, from all sources. If two set the same key, the
/// later one wins.
pub(crate) struct Configuration {
    /// The settings of the client itself.
    pub(crate) draft: ClientDraft,
    /// The settings for producers and consumers.
    pub(crate) settings: Settings,
}

impl Configuration {
    pub(crate) fn new() -> Self {
        Self {
            draft: ClientDraft::new(),
            settings: Settings::default(),
        }
    }

    /// Applies the settings of a file.
    pub(crate) fn file(self, path: &Path) -> Result<Self> {
        let entries = match file::read(path)? {
            Content::Settings(entries) => entries,
            Content::Properties(given) => foreign::entries(&given)?,
        };
        self.take(entries)
    }

    /// Applies the settings among variables of the environment.
    pub(crate) fn variables(
        self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let found = env::entries(variables);
        found.warn();
        let config = match &found.file {
            Some(path) => self.file(Path::new(path))?,
            None => self,
        };
        config.take(found.entries)
    }

    /// Applies properties of other clients.
    pub(crate) fn properties(
        self,
        given: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let origin = Origin::whole("a property");
        let given: Vec<_> = given
            .into_iter()
            .map(|(name, value)| (origin.clone(), name, value))
            .collect();
        self.take(foreign::entries(&given)?)
    }

    /// Applies one setting.
    pub(crate) fn set(self, key: &str, value: String) -> Result<Self> {
        let (section, name) = match key.split_once('.') {
            Some((section, name)) => (Some(section.to_owned()), name),
            None => (None, key),
        };
        let entry = Entry {
            origin: Origin::whole("a setting"),
            section,
            key: name.to_owned(),
            value: Raw::Text(value),
        };
        self.take([entry])
    }

    /// Applies settings in their order.
    fn take(self, entries: impl IntoIterator<Item = Entry>) -> Result<Self> {
        let mut entries = entries.into_iter();
        entries.try_fold(self, |config, entry| config.apply(&entry))
    }

    /// Applies one setting as it was written.
    fn apply(mut self, entry: &Entry) -> Result<Self> {
        if entry.value.is_unset() {
            // Even without a value, the key must be the name of a setting.
            entry.known()?;
            return Ok(self);
        }
        let (key, change) = entry.read()?;
        self.settings.note(key, entry);
        match change {
            Change::Client(change) => self.draft = change(self.draft),
            Change::Producer(change) => self.settings.set_producer(key, change),
            Change::Consumer(change) => self.settings.set_consumer(key, change),
        }
        Ok(self)
    }
}
