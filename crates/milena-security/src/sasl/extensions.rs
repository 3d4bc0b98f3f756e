//! The extensions of an OAUTHBEARER message (KIP-342).

use std::collections::BTreeMap;

use milena_core::{Error, ErrorKind, Result};

/// Names with values that travel beside a bearer token, such as `logicalCluster`.
///
/// ```
/// use milena_security::sasl::SaslExtensions;
///
/// let extensions = SaslExtensions::new()
///     .with("logicalCluster", "lkc-1")?
///     .with("identityPoolId", "pool-1")?;
/// assert_eq!(extensions.value("logicalCluster"), Some("lkc-1"));
/// assert!(SaslExtensions::new().with("auth", "x").is_err());
/// # Ok::<(), milena_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslExtensions(BTreeMap<String, String>);

impl SaslExtensions {
    /// Creates an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of `name`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `name` is not made of letters or is `auth`, or if `value` is empty
    /// or has characters that are not printable ASCII.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Result<Self> {
        let (name, value) = (name.into(), value.into());
        if !is_name(&name) {
            let text = format!(
                "{name:?} cannot name a SASL extension: use letters only, and not \"auth\""
            );
            return Err(Error::new(ErrorKind::Config, text));
        }
        if !is_value(&value) {
            let text =
                format!("the SASL extension {name} needs a value of printable ASCII characters");
            return Err(Error::new(ErrorKind::Config, text));
        }
        self.0.insert(name, value);
        Ok(self)
    }

    /// Returns the value of `name`. `None` if it has none.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Returns all names with their values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns true if there is no extension.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name != "auth" && name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn is_value(value: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    !value.is_empty() && value.bytes().all(allowed)
}
