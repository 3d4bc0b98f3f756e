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
//! The section `app` of a YAML or TOML file belongs to the program. Nothing in it is read or
//! checked here, so that a program can keep its own settings in the same file and read them with a
//! parser of its own.
//!
//! A source is read into [`Drafts`], which hold a typed value for each setting that was given. A
//! builder reads them. This crate knows no builder.
//!
//! ```
//! use std::time::Duration;
//!
//! # let file = std::env::temp_dir().join(format!("milena-{}.properties", std::process::id()));
//! # std::fs::write(&file, "bootstrap.servers=kafka-1:9092").unwrap();
//! let mut drafts = milena_config::from_file(&file)?;
//! # std::fs::remove_file(&file).unwrap();
//! drafts.merge(milena_config::from_setting("producer.linger", "5ms".to_owned())?);
//! assert_eq!(drafts.producer.linger, Some(Duration::from_millis(5)));
//!
//! // The error names the place of a wrong key, and the key that was probably meant.
//! let error = milena_config::from_setting("producer.lingr", "5ms".to_owned()).unwrap_err();
//! assert!(error.to_string().contains("did you mean `linger`?"));
//! # Ok::<_, milena_core::Error>(())
//! ```
#![doc = include_str!("keys.md")]
#![doc = include_str!("properties.md")]

mod client_keys;
mod consumer_keys;
#[cfg(test)]
mod document;
mod drafts;
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
mod section;
mod setting;
mod source;
mod table;
#[cfg(feature = "toml")]
mod toml;
mod value;
#[cfg(feature = "yaml")]
mod yaml;

pub use client_keys::ClientDraft;
pub use consumer_keys::ConsumerDraft;
pub use drafts::Drafts;
pub use foreign::{
    Fate, Property, properties as explain_properties, properties_text as explain_properties_text,
};
pub use key::Key;
pub use producer_keys::ProducerDraft;
pub use section::Section;
pub use source::{from_file, from_properties, from_setting, from_variables};
pub use table::keys;
