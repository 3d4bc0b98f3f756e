//! Settings from files, from the environment, and by the names of other clients.
//!
//! Each setting of a builder has a key, which is the name of the method. Keys of producers begin
//! with `producer.`, those of consumers with `consumer.`. A file holds settings in this form:
//!
//! ```yaml
//! bootstrap: [kafka-1:9092, kafka-2:9092]
//! client_id: billing
//! producer:
//!   linger: 5ms
//!   compression: zstd:3
//! consumer:
//!   auto_offset_reset: latest
//!   order: key:8
//! ```
//!
//! In TOML the sections are `[producer]` and `[consumer]`. In the environment the settings have
//! names such as `MILENA_BOOTSTRAP` and `MILENA_PRODUCER_LINGER`. `MILENA_CONFIG` names a file that
//! is read first. Variables that begin with `MILENA_TEST_` or `MILENA_REQUIRE_` are no settings.
//! The later call wins, for example first a file, then the environment, then methods.
//!
//! ```
//! use milena_client::Client;
//! # let file = std::env::temp_dir().join(format!("milena-{}.yaml", std::process::id()));
//! # std::fs::write(&file, "bootstrap: kafka-1:9092").unwrap();
//!
//! let builder = Client::from_file(&file)?.env()?.set("producer.linger", "5ms")?;
//! # std::fs::remove_file(&file).unwrap();
//!
//! // The error names the place of a wrong key, and the key that was probably meant.
//! let error = Client::builder().set("producer.lingr", "5ms").unwrap_err();
//! assert!(error.to_string().contains("did you mean `linger`?"));
//! # let _ = builder;
//! # Ok::<_, milena_client::core::Error>(())
//! ```
#![doc = include_str!("keys.md")]
#![doc = include_str!("properties.md")]

mod client_keys;
mod consumer_keys;
#[cfg(test)]
mod document;
mod entry;
mod env;
mod file;
mod foreign;
mod foreign_names;
mod foreign_values;
mod key;
mod nearest;
mod producer_keys;
mod properties;
mod settings;
#[cfg(feature = "toml")]
mod toml;
mod value;
#[cfg(feature = "yaml")]
mod yaml;

use std::path::Path;

use milena_core::Result;

use crate::builder::ClientBuilder;
use entry::{Entry, Origin};
use file::Content;
use key::Change;
use value::Raw;

pub use foreign::{
    Fate, Property, properties as explain_properties, properties_text as explain_properties_text,
};
pub use key::{Key, Section, keys};
pub(crate) use settings::Settings;

/// Applies the settings of a file.
pub(crate) fn file(builder: ClientBuilder, path: &Path) -> Result<ClientBuilder> {
    let entries = match file::read(path)? {
        Content::Settings(entries) => entries,
        Content::Properties(given) => foreign::entries(&given)?,
    };
    take(builder, entries)
}

/// Applies the settings among variables of the environment.
pub(crate) fn variables(
    builder: ClientBuilder,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<ClientBuilder> {
    let found = env::entries(variables);
    found.warn();
    let builder = match &found.file {
        Some(path) => file(builder, Path::new(path))?,
        None => builder,
    };
    take(builder, found.entries)
}

/// Applies properties of other clients.
pub(crate) fn properties(
    builder: ClientBuilder,
    given: impl IntoIterator<Item = (String, String)>,
) -> Result<ClientBuilder> {
    let origin = Origin::whole("a property");
    let given: Vec<_> = given
        .into_iter()
        .map(|(name, value)| (origin.clone(), name, value))
        .collect();
    take(builder, foreign::entries(&given)?)
}

/// Applies one setting.
pub(crate) fn set(builder: ClientBuilder, key: &str, value: String) -> Result<ClientBuilder> {
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
    take(builder, [entry])
}

fn take(builder: ClientBuilder, entries: impl IntoIterator<Item = Entry>) -> Result<ClientBuilder> {
    entries.into_iter().try_fold(builder, |mut builder, entry| {
        if entry.value.is_unset() {
            // Even without a value, the key must be the name of a setting.
            entry.known()?;
            return Ok(builder);
        }
        let (key, change) = entry.read()?;
        builder.settings().note(key, &entry);
        match change {
            Change::Client(change) => return Ok(change(builder)),
            Change::Producer(change) => builder.settings().set_producer(key, change),
            Change::Consumer(change) => builder.settings().set_consumer(key, change),
        }
        Ok(builder)
    })
}
