//! The table of all settings.

use crate::drafts::Drafts;
use crate::key::Key;
use crate::section::Section;
use crate::setting::Setting;
use crate::value::Raw;
use crate::{client_keys, consumer_keys, producer_keys};

/// Returns all settings, in the order of the documentation.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    Section::ALL.into_iter().flat_map(keys_of)
}

/// Returns the settings of a section.
pub(crate) fn keys_of(section: Section) -> Vec<&'static Key> {
    fn of<D>(settings: &'static [Setting<D>]) -> Vec<&'static Key> {
        settings.iter().map(|setting| &setting.key).collect()
    }
    match section {
        Section::Client => of(client_keys::SETTINGS),
        Section::Producer => of(producer_keys::SETTINGS),
        Section::Consumer => of(consumer_keys::SETTINGS),
    }
}

/// Returns the setting of a section with this name.
pub(crate) fn find(section: Section, name: &str) -> Option<&'static Key> {
    keys_of(section).into_iter().find(|key| key.name == name)
}

/// Reads a value into the draft that the setting belongs to.
///
/// # Errors
/// The reason why the value is refused. `None` if the setting's `allowed` says enough.
pub(crate) fn read(key: &Key, raw: &Raw, drafts: &mut Drafts) -> Result<(), Option<String>> {
    fn into<D>(
        settings: &[Setting<D>],
        name: &str,
        raw: &Raw,
        draft: &mut D,
    ) -> Result<(), Option<String>> {
        let setting = settings.iter().find(|setting| setting.key.name == name);
        match setting {
            Some(setting) if (setting.read)(raw, draft) => Ok(()),
            Some(setting) => Err((setting.why)(raw)),
            None => Err(None),
        }
    }
    let name = key.name;
    match key.section {
        Section::Client => into(client_keys::SETTINGS, name, raw, &mut drafts.client),
        Section::Producer => into(producer_keys::SETTINGS, name, raw, &mut drafts.producer),
        Section::Consumer => into(consumer_keys::SETTINGS, name, raw, &mut drafts.consumer),
    }
}
