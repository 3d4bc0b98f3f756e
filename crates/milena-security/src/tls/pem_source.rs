//! The place of certificates or keys in PEM.

use std::fmt;
use std::path::{Path, PathBuf};

use milena_core::{Error, ErrorKind, Result};

use super::foreign::advice;
use crate::secret::Secret;

/// The place of certificates, revocation lists or a key in PEM: a file or bytes.
///
/// A file is followed by its path, so a symbolic link that is swapped, as Kubernetes does, is seen.
#[derive(Clone)]
pub struct PemSource(PemPlace);

#[derive(Clone)]
enum PemPlace {
    File(PathBuf),
    Text(Secret),
}

impl PemSource {
    /// Creates a source that reads the file at `path`.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(PemPlace::File(path.into()))
    }

    /// Creates a source of PEM that is in memory.
    #[must_use]
    pub fn text(pem: impl Into<Secret>) -> Self {
        Self(PemPlace::Text(pem.into()))
    }

    /// Returns the file. `None` if the PEM is in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            PemPlace::File(path) => Some(path),
            PemPlace::Text(_) => None,
        }
    }

    /// Reads the PEM. Blocks.
    pub(crate) fn read(&self) -> Result<Secret> {
        let bytes = match &self.0 {
            PemPlace::Text(pem) => pem.clone(),
            PemPlace::File(path) => Secret::new(std::fs::read(path).map_err(|error| {
                let text = format!(
                    "{self} cannot be read: check that it exists and that this program may read it"
                );
                Error::new(ErrorKind::Config, text).with_source(error)
            })?),
        };
        let name = self
            .path()
            .map_or("FILE".into(), |path| path.display().to_string());
        match advice(bytes.expose(), &name) {
            Some(why) => Err(self.refused(&why)),
            None => Ok(bytes),
        }
    }

    /// Creates the error for content that cannot be used.
    pub(crate) fn refused(&self, why: &str) -> Error {
        Error::new(ErrorKind::Config, format!("{self} cannot be used: {why}"))
    }
}

impl fmt::Display for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            PemPlace::File(path) => write!(f, "the file {}", path.display()),
            PemPlace::Text(_) => f.write_str("the PEM in the settings"),
        }
    }
}

impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PemSource({self})")
    }
}
