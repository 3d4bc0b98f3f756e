//! A secret that is read again and again, and kept while its source is broken.

use milena_core::Result;

use super::source::SecretSource;
use super::value::Secret;

/// The newest readable content of a [`SecretSource`].
///
/// [`refresh`](Self::refresh) compares by content. A source that cannot be read leaves the old
/// secret in place and counts.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_security::{SecretReader, SecretSource};
///
/// let mut reader = SecretReader::open(SecretSource::value("alice-secret")).await?;
/// assert!(!reader.refresh().await?, "nothing changed");
/// assert_eq!(reader.secret().text()?, "alice-secret");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SecretReader {
    /// The place that is read.
    source: SecretSource,
    /// The content of the last read that succeeded.
    secret: Secret,
    /// Reads that failed since the reader was opened.
    failures: u64,
}

impl SecretReader {
    /// Reads `source` for the first time.
    ///
    /// # Errors
    /// Those of [`SecretSource::read`].
    pub async fn open(source: SecretSource) -> Result<Self> {
        let secret = source.read().await?;
        Ok(Self {
            source,
            secret,
            failures: 0,
        })
    }

    /// Reads the source again. Returns true if the content is another one.
    ///
    /// # Errors
    /// Those of [`SecretSource::read`]. The old secret stays.
    ///
    /// # Cancel safety
    /// If the future is dropped, the old secret stays.
    pub async fn refresh(&mut self) -> Result<bool> {
        match self.source.read().await {
            Ok(secret) => {
                let changed = secret != self.secret;
                self.secret = secret;
                Ok(changed)
            }
            Err(error) => {
                self.failures += 1;
                Err(error)
            }
        }
    }

    /// Returns the content of the last read that succeeded.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// Returns the number of reads that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_broken_source_keeps_the_old_secret_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "one").unwrap();
        let mut reader = SecretReader::open(SecretSource::file(&path)).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(reader.refresh().await.is_err());
        assert_eq!(
            (reader.secret().text().unwrap(), reader.failures()),
            ("one", 1)
        );
        std::fs::write(&path, "two").unwrap();
        assert!(reader.refresh().await.unwrap());
        assert_eq!(reader.secret().text().unwrap(), "two");
    }
}
