//! Settings from one source, read into drafts.

use std::path::Path;

use milena_core::Result;

use crate::drafts::Drafts;
use crate::entry::{Entry, Origin};
use crate::file::Content;
use crate::value::Raw;
use crate::{env, file, foreign};

/// Reads the settings of a file. Its extension selects the format.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) naming file, line, key, and what is
/// allowed.
pub fn from_file(path: &Path) -> Result<Drafts> {
    match file::read(path)? {
        Content::Settings(entries) => read(entries),
        Content::Properties(given) => read(foreign::entries(&given)?),
    }
}

/// Reads the settings among variables of the environment. If `MILENA_CONFIG` names a file, its
/// settings are read first.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a value that is not allowed. A
/// variable that begins with `MILENA_` and is no setting is ignored with a warning.
pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Drafts> {
    let found = env::entries(variables);
    found.warn();
    let mut drafts = match &found.file {
        Some(path) => from_file(Path::new(path))?,
        None => Drafts::default(),
    };
    drafts.merge(read(found.entries)?);
    Ok(drafts)
}

/// Reads properties by the names of Kafka's Java clients and of librdkafka.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) with the reason for the first refused
/// property, and the names of the others.
pub fn from_properties(given: impl IntoIterator<Item = (String, String)>) -> Result<Drafts> {
    let origin = Origin::whole("a property");
    let given: Vec<_> = given
        .into_iter()
        .map(|(name, value)| (origin.clone(), name, value))
        .collect();
    read(foreign::entries(&given)?)
}

/// Reads one setting by its key, such as `producer.linger`. The value is written as in a file.
///
/// # Errors
/// [`ErrorKind::Config`](milena_core::ErrorKind::Config) naming the key and what is allowed.
pub fn from_setting(key: &str, value: String) -> Result<Drafts> {
    let (section, name) = match key.split_once('.') {
        Some((section, name)) => (Some(section.to_owned()), name),
        None => (None, key),
    };
    read([Entry {
        origin: Origin::whole("a setting"),
        section,
        key: name.to_owned(),
        value: Raw::Text(value),
    }])
}

/// Reads settings in their order. A later setting of a key replaces an earlier one.
fn read(entries: impl IntoIterator<Item = Entry>) -> Result<Drafts> {
    let mut drafts = Drafts::default();
    for entry in entries {
        if entry.value.is_unset() {
            // Even without a value, the key must be the name of a setting.
            entry.known()?;
        } else {
            entry.read(&mut drafts)?;
        }
    }
    Ok(drafts)
}
