//! Sets up a client from files, from the environment, and from the property names of other clients.

use std::path::Path;

use milena_config as config;
use milena_core::Result;

use crate::builder::ClientBuilder;
use crate::client::Client;

impl Client {
    /// Creates a builder from a file, which is `milena.yaml`, `milena.toml`, or a `.properties`
    /// file of another client. See [`config`](crate::config) for its content.
    ///
    /// # Errors
    /// The same as [`ClientBuilder::file`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<ClientBuilder> {
        Self::builder().file(path)
    }

    /// Creates a builder from the environment, from `MILENA_BOOTSTRAP` and similar variables.
    ///
    /// # Errors
    /// The same as [`ClientBuilder::env`].
    pub fn from_env() -> Result<ClientBuilder> {
        Self::builder().env()
    }

    /// Creates a builder from the property names of Kafka's Java clients and of librdkafka.
    ///
    /// # Errors
    /// The same as [`ClientBuilder::properties`].
    pub fn from_properties<K: Into<String>, V: Into<String>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<ClientBuilder> {
        Self::builder().properties(properties)
    }
}

/// Settings from other sources. If two calls set the same key, the later call wins.
///
/// ```
/// use milena_client::Client;
/// # let file = std::env::temp_dir().join(format!("milena-{}.yaml", std::process::id()));
/// # std::fs::write(&file, "bootstrap: kafka-1:9092").unwrap();
///
/// let builder = Client::from_file(&file)?.env()?.set("producer.linger", "5ms")?;
/// # std::fs::remove_file(&file).unwrap();
///
/// // The error names the place of a wrong key, and the key that was probably meant.
/// let error = Client::builder().set("producer.lingr", "5ms").unwrap_err();
/// assert!(error.to_string().contains("did you mean `linger`?"));
/// # let _ = builder;
/// # Ok::<_, milena_client::core::Error>(())
/// ```
impl ClientBuilder {
    /// Reads the settings of a file. See [`config`](crate::config) for its content.
    ///
    /// The extension selects the format. `.yaml`, `.yml` and `.toml` use milena's names.
    /// `.properties` uses the names of Kafka's Java clients and of librdkafka.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) naming file, line, key, and what is
    /// allowed.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Self> {
        Ok(self.configure(config::from_file(path.as_ref())?))
    }

    /// Reads the settings of the environment, from `MILENA_BOOTSTRAP` and similar variables. If
    /// `MILENA_CONFIG` names a file, its settings are read first. Variables that begin with
    /// `MILENA_TEST_` or `MILENA_REQUIRE_` are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a value that is not allowed. A
    /// variable that begins with `MILENA_` and is no setting is ignored with a warning.
    pub fn env(self) -> Result<Self> {
        let variables = std::env::vars_os();
        self.variables(variables.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Reads settings like [`env`](Self::env), from the given variables.
    ///
    /// # Errors
    /// The same as [`env`](Self::env).
    pub fn variables<K: Into<String>, V: Into<String>>(
        self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self> {
        Ok(self.configure(config::from_variables(owned(variables))?))
    }

    /// Sets properties by the names of Kafka's Java clients and of librdkafka. Each property is
    /// kept, mapped, or refused. [`explain_properties`](crate::config::explain_properties) says
    /// which.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) with the reason for the first refused
    /// property, and the names of the others.
    pub fn properties<K: Into<String>, V: Into<String>>(
        self,
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self> {
        Ok(self.configure(config::from_properties(owned(properties))?))
    }

    /// Sets one setting by its [key](crate::config::Key), such as `producer.linger`. The value is
    /// written as in a file.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) naming the key and what is allowed.
    pub fn set(self, key: &str, value: impl Into<String>) -> Result<Self> {
        Ok(self.configure(config::from_setting(key, value.into())?))
    }
}

fn owned<K: Into<String>, V: Into<String>>(
    pairs: impl IntoIterator<Item = (K, V)>,
) -> impl Iterator<Item = (String, String)> {
    let pairs = pairs.into_iter();
    pairs.map(|(name, value)| (name.into(), value.into()))
}
