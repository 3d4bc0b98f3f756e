//! A setting as it was written, and the errors that name its place.

use std::fmt;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result};

use crate::drafts::Drafts;
use crate::key::Key;
use crate::nearest::nearest;
use crate::section::Section;
use crate::table::{self, keys, keys_of};
use crate::value::Raw;

/// A setting as it was written.
pub(crate) struct Entry {
    /// The place where it was written.
    pub(crate) origin: Origin,
    /// The section as it was written. `None` is the top level.
    pub(crate) section: Option<String>,
    /// The key as it was written, without its section.
    pub(crate) key: String,
    /// The value as it was written.
    pub(crate) value: Raw,
}

/// The place where a setting was written.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The path of the file, or the name of another source.
    pub(crate) source: Arc<str>,
    /// The line, counted from 1. `None` if the source has no lines.
    pub(crate) line: Option<usize>,
}

impl Origin {
    pub(crate) fn line(source: &Arc<str>, line: usize) -> Self {
        Self {
            source: Arc::clone(source),
            line: Some(line),
        }
    }

    pub(crate) fn whole(source: impl Into<Arc<str>>) -> Self {
        Self {
            source: source.into(),
            line: None,
        }
    }

    /// Creates an error that names the place.
    pub(crate) fn refuse(&self, what: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Config, format!("{self}: {what}"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        match self.line {
            Some(line) => write!(f, " line {line}"),
            None => Ok(()),
        }
    }
}

impl Entry {
    /// Returns the key with its section, as it was written.
    pub(crate) fn path(&self) -> String {
        match &self.section {
            None => self.key.clone(),
            Some(section) => format!("{section}.{}", self.key),
        }
    }

    /// Reads the value into the draft that the setting belongs to, and returns the setting.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the place, the key, and what is allowed.
    pub(crate) fn read(&self, drafts: &mut Drafts) -> Result<&'static Key> {
        let key = self.known()?;
        let path = self.path();
        if let Some(defect) = self.value.defect() {
            let what = format!("`{path}` {defect}");
            return Err(self.origin.refuse(what).setting(path));
        }
        if let Err(why) = table::read(key, &self.value, drafts) {
            let allowed = key.allowed;
            let what = match why {
                Some(why) => format!("`{path}` cannot be used: {why}"),
                // The value of a secret is never shown.
                None if is_secret(key.name) => {
                    format!("`{path}` has a value that is not allowed; write {allowed}")
                }
                None => format!(
                    "`{path}` cannot be `{}`; write {allowed}",
                    self.value.shown()
                ),
            };
            return Err(self.origin.refuse(what).setting(path));
        }
        let shown = match is_secret(key.name) {
            true => "(hidden)".to_owned(),
            false => self.value.shown(),
        };
        drafts.note(key.path(), shown);
        Ok(key)
    }

    /// Returns the setting that the key names.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the place, and the key that was probably meant.
    pub(crate) fn known(&self) -> Result<&'static Key> {
        let section = self.find_section()?;
        table::find(section, &self.key).ok_or_else(|| self.unknown(section))
    }

    fn find_section(&self) -> Result<Section> {
        let name = self.section.as_deref();
        let found = Section::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let names: Vec<_> = Section::ALL.iter().filter_map(|one| one.name()).collect();
            let path = self.path();
            let what = format!(
                "`{}` is no section; the sections are {}; a file may hold keys of the program's own \
                 below `{}`",
                self.section.as_deref().unwrap_or_default(),
                names.join(" and "),
                Section::PROGRAM
            );
            self.origin.refuse(what).setting(path)
        })
    }

    fn unknown(&self, section: Section) -> Error {
        let path = self.path();
        let here = keys_of(section);
        let names = here.iter().map(|key| key.name);
        let kafka = |key: &&&Key| !key.kafka.is_empty() && key.kafka == self.key;
        let elsewhere = |key: &&Key| key.name == self.key;
        let hint = if let Some(key) = here.iter().find(kafka) {
            format!("milena's name for it is `{}`: {}", key.path(), key.allowed)
        } else if let Some(key) = keys().find(elsewhere) {
            format!("write it as `{}`", key.path())
        } else if let Some(near) = nearest(&self.key, names.clone()) {
            format!("did you mean `{near}`?")
        } else {
            let names: Vec<_> = names.collect();
            format!("there are {}", names.join(", "))
        };
        let what = format!("`{path}` is no setting; {hint}");
        self.origin.refuse(what).setting(path)
    }
}

/// Returns true if values of settings with this name must not be shown.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "password",
        "secret",
        "token",
        "jaas",
        "credential",
        "ssl.key",
        "ssl_key",
    ]
    .iter()
    .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "ssl.keystore.password",
            "sasl.jaas.config",
            "client_secret",
            "SSL.KEY.PEM",
        ] {
            assert!(is_secret(name), "{name}");
        }
        assert!(!is_secret("linger") && !is_secret("key.serializer"));
    }
}
