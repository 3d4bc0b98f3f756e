//! The place that a secret is read from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use milena_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::command;
use super::value::Secret;

/// The place that a secret is read from, each time that it is needed.
///
/// A file, a variable or a command is read again at each authentication, so a rotated secret needs
/// no restart. One line break at the end of a file or of a command's output is cut.
///
/// ```
/// use milena_security::{Secret, SecretSource};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("password");
/// std::fs::write(&path, "alice-secret\n").unwrap();
/// let source: SecretSource = format!("@{}", path.display()).parse()?;
/// assert_eq!(source.read_blocking()?, Secret::from("alice-secret"));
/// # Ok::<(), milena_core::Error>(())
/// ```
#[derive(Clone)]
pub struct SecretSource(SecretPlace);

#[derive(Clone)]
enum SecretPlace {
    /// The secret itself.
    Value(Secret),
    /// A file, by its path. A symbolic link is followed at each read.
    File(PathBuf),
    /// An environment variable, by its name.
    Variable(String),
    /// A program and its arguments. It prints the secret.
    Command { program: String, args: Vec<String> },
}

impl SecretSource {
    /// Creates a source that always returns `secret`.
    #[must_use]
    pub fn value(secret: impl Into<Secret>) -> Self {
        Self(SecretPlace::Value(secret.into()))
    }

    /// Creates a source that reads the file at `path`.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(SecretPlace::File(path.into()))
    }

    /// Creates a source that reads the environment variable `name`.
    #[must_use]
    pub fn variable(name: impl Into<String>) -> Self {
        Self(SecretPlace::Variable(name.into()))
    }

    /// Creates a source that runs `program` with `args`, without a shell, and reads its output.
    ///
    /// The program has 10 s and may print 64 KiB. Its error output goes to this process's.
    #[must_use]
    pub fn command<A: Into<String>>(
        program: impl Into<String>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self(SecretPlace::Command {
            program: program.into(),
            args: args.into_iter().map(Into::into).collect(),
        })
    }

    /// Returns the file that the secret is read from. `None` if it is read from elsewhere.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            SecretPlace::File(path) => Some(path),
            SecretPlace::Value(_) | SecretPlace::Variable(_) | SecretPlace::Command { .. } => None,
        }
    }

    /// Returns true if the secret stands in the source itself, as one that was given in clear on a
    /// command line.
    #[must_use]
    pub fn is_value(&self) -> bool {
        matches!(self.0, SecretPlace::Value(_))
    }

    /// Reads the secret on a thread for blocking work.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no secret, with the place and never with its content.
    pub async fn read(&self) -> Result<Secret> {
        match &self.0 {
            SecretPlace::Value(secret) => Ok(secret.clone()),
            SecretPlace::Variable(_) => self.read_blocking(),
            SecretPlace::File(_) | SecretPlace::Command { .. } => {
                let source = self.clone();
                let reading = tokio::task::spawn_blocking(move || source.read_blocking());
                reading.await.map_err(|error| {
                    Error::new(ErrorKind::Panicked, "reading a secret panicked").with_source(error)
                })?
            }
        }
    }

    /// Reads the secret and blocks the thread while it does.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no secret, with the place and never with its content.
    pub fn read_blocking(&self) -> Result<Secret> {
        let secret = match &self.0 {
            SecretPlace::Value(secret) => return Ok(secret.clone()),
            SecretPlace::File(path) => read_file(path)?,
            SecretPlace::Variable(name) => std::env::var_os(name)
                .map(std::ffi::OsString::into_encoded_bytes)
                .ok_or_else(|| {
                    let text = format!("the environment variable {name} is not set: set it, or name another source of the secret");
                    Error::new(ErrorKind::Config, text)
                })?,
            SecretPlace::Command { program, args } => command::output(program, args, COMMAND_TIME)?,
        };
        let secret = without_line_break(secret);
        if secret.is_empty() {
            let text = format!("{self} is empty: write the secret there");
            return Err(Error::new(ErrorKind::Config, text));
        }
        Ok(secret)
    }
}

/// Reads `env:NAME`, `@FILE`, or else the secret itself.
impl FromStr for SecretSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (kind, rest) = match (text.strip_prefix("env:"), text.strip_prefix('@')) {
            (Some(name), _) => ("env:", name),
            (None, Some(path)) => ("@", path),
            (None, None) => return Ok(Self::value(text)),
        };
        match (rest.is_empty(), kind) {
            (true, _) => {
                let text = format!(
                    "nothing follows {kind}: write env:NAME for a variable or @FILE for a file"
                );
                Err(Error::new(ErrorKind::Config, text))
            }
            (false, "@") => Ok(Self::file(rest)),
            (false, _) => Ok(Self::variable(rest)),
        }
    }
}

impl From<Secret> for SecretSource {
    fn from(secret: Secret) -> Self {
        Self::value(secret)
    }
}

impl From<&str> for SecretSource {
    fn from(secret: &str) -> Self {
        Self::value(secret)
    }
}

impl From<String> for SecretSource {
    fn from(secret: String) -> Self {
        Self::value(secret)
    }
}

/// Writes the place, never the secret. Arguments of a command are left out, since they may hold
/// one.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SecretPlace::Value(_) => f.write_str("the secret in the settings"),
            SecretPlace::File(path) => write!(f, "the file {}", path.display()),
            SecretPlace::Variable(name) => write!(f, "the environment variable {name}"),
            SecretPlace::Command { program, .. } => {
                write!(f, "the output of the command {program}")
            }
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSource({self})")
    }
}

/// Reads a file whole.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let text = format!(
            "the secret cannot be read from {}: check that the file exists and that this program may read it",
            path.display()
        );
        Error::new(ErrorKind::Config, text).with_source(error)
    })
}

/// Cuts one line break at the end, as editors and `echo` append it.
fn without_line_break(bytes: Vec<u8>) -> Secret {
    let bytes = Zeroizing::new(bytes);
    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let line = line
        .strip_suffix(b"\r")
        .filter(|_| line.len() < bytes.len())
        .unwrap_or(line);
    Secret::new(line.to_vec())
}

/// The time that a command has.
const COMMAND_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Secret> {
        text.parse::<SecretSource>()?.read_blocking()
    }

    #[test]
    fn a_source_is_told_by_its_prefix() {
        assert_eq!(read("plain").unwrap(), Secret::from("plain"));
        assert!(
            read("env:MILENA_NO_SUCH_VARIABLE")
                .unwrap_err()
                .to_string()
                .contains("MILENA_NO_SUCH_VARIABLE")
        );
        assert_eq!(
            read("env:PATH").unwrap().text().unwrap(),
            std::env::var("PATH").unwrap()
        );
        assert!(read("env:").is_err() && read("@").is_err());
    }

    #[test]
    fn one_line_break_at_the_end_is_cut() {
        let of = |text: &str| {
            without_line_break(text.as_bytes().to_vec())
                .text()
                .unwrap()
                .to_owned()
        };
        assert_eq!(
            ["a", "a\n", "a\r\n", "a\n\n", "a\r"].map(of),
            ["a", "a", "a", "a\n", "a\r"]
        );
    }

    #[test]
    fn a_file_is_read_anew_and_a_missing_or_empty_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let source = SecretSource::file(&path);
        let missing = source.read_blocking().unwrap_err();
        assert!(missing.to_string().contains("password"), "{missing}");
        for secret in ["one", "two"] {
            std::fs::write(&path, secret).unwrap();
            assert_eq!(source.read_blocking().unwrap(), Secret::from(secret));
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(
            source
                .read_blocking()
                .unwrap_err()
                .to_string()
                .contains("is empty")
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_command_prints_the_secret() {
        let source = SecretSource::command("printf", ["hunter2"]);
        assert_eq!(source.read().await.unwrap(), Secret::from("hunter2"));
        assert!(!format!("{source:?}").contains("hunter2"));
        let failing = SecretSource::command("false", [""; 0])
            .read()
            .await
            .unwrap_err();
        assert!(failing.to_string().contains("false"), "{failing}");
        assert!(
            SecretSource::command("/no/such/program", [""; 0])
                .read()
                .await
                .is_err()
        );
    }
}
