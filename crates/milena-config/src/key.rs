//! A setting by its key. Holds its section, the values that it accepts, and its meaning.

use std::fmt;

use crate::section::Section;

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

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("path", &self.path())
            .field("kafka", &self.kafka)
            .field("default", &self.default)
            .finish_non_exhaustive()
    }
}
