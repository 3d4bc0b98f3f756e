//! A client by files, by the environment, and by the names of other clients.

use std::path::Path;

use milena_core::Result;

use crate::builder::ClientBuilder;
use crate::client::Client;
use crate::config;

impl Client {
    /// Sets up a client by a file: `milena.yaml`, `milena.toml`, or a `.properties` of another client. [`config`] says what may be in
    /// it.
    ///
    /// # Errors
    /// As [`ClientBuilder::file`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<ClientBuilder> {
        Self::builder().file(path)
    }

    /// Sets up a client by the environment: `MILENA_BOOTSTRAP` and its like.
    ///
    /// # Errors
    /// As [`ClientBuilder::env`].
    pub fn from_env() -> Result<ClientBuilder> {
        Self::builder().env()
    }

    /// Sets up a client by the names of Kafka's Java clients and of librdkafka.
    ///
    /// # Errors
    /// As [`ClientBuilder::properties`].
    pub fn from_properties<K: Into<String>, V: Into<String>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<ClientBuilder> {
        Self::builder().properties(properties)
    }
}

/// Settings that are written elsewhere; of two for one key the later call counts.
impl ClientBuilder {
    /// Takes the settings of a file. [`config`] says what may be in it.
    ///
    /// The ending names the form: `.yaml` or `.yml`, `.toml`, or `.properties` with the names of Kafka's Java clients and of librdkafka.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) naming file, line, key, and what is allowed.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Self> {
        config::file(self, path.as_ref())
    }

    /// Takes the settings of the environment, `MILENA_BOOTSTRAP` and its like, after those of the file that `MILENA_CONFIG` names, if it
    /// does. What begins with `MILENA_TEST_` or `MILENA_REQUIRE_` is left alone.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a variable that begins with `MILENA_` and is no setting, or whose
    /// value is not allowed.
    pub fn env(self) -> Result<Self> {
        let variables = std::env::vars_os();
        self.variables(variables.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// As [`env`](Self::env), from variables that are handed in.
    ///
    /// # Errors
    /// As [`env`](Self::env).
    pub fn variables<K: Into<String>, V: Into<String>>(
        self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self> {
        config::variables(self, owned(variables))
    }

    /// Takes settings by the names of Kafka's Java clients and of librdkafka: each is kept, mapped, or refused;
    /// [`explain_properties`](config::explain_properties) says which.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) with the reason of the first that is refused, and the names of the others.
    pub fn properties<K: Into<String>, V: Into<String>>(
        self,
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self> {
        config::properties(self, owned(properties))
    }

    /// Takes one setting by its [key](config::Key), as `producer.linger`, and its value as a file would have it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) naming the key and what is allowed.
    pub fn set(self, key: &str, value: impl Into<String>) -> Result<Self> {
        config::set(self, key, value.into())
    }
}

fn owned<K: Into<String>, V: Into<String>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> impl Iterator<Item = (String, String)> {
    let pairs = pairs.into_iter();
    pairs.map(|(name, value)| (name.into(), value.into()))
}
