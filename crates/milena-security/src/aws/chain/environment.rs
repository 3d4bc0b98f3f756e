//! The environment variables of a program, and the credentials in them.

use std::fmt;
use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result};

use crate::aws::credentials::AwsCredentials;

/// The variables of a program. Tests give their own.
#[derive(Clone)]
pub(crate) struct Variables(pub(crate) Arc<Lookup>);

/// A function that returns the value of a variable.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

impl Default for Variables {
    fn default() -> Self {
        Self(Arc::new(|name| std::env::var(name).ok()))
    }
}

impl Variables {
    /// Returns the value of a variable. `None` if it is not set or empty.
    pub(crate) fn value(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// Returns the credentials in `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and
    /// `AWS_SESSION_TOKEN`. `None` if the first is not set.
    pub(crate) fn credentials(&self) -> Result<Option<AwsCredentials>> {
        let Some(id) = self.value("AWS_ACCESS_KEY_ID") else {
            return Ok(None);
        };
        let secret = self.value("AWS_SECRET_ACCESS_KEY").ok_or_else(|| {
            let text =
                "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not: set both or none";
            Error::new(ErrorKind::Config, text)
        })?;
        let mut credentials = AwsCredentials::new(id, secret);
        credentials.session_token = self.value("AWS_SESSION_TOKEN").map(Into::into);
        Ok(Some(credentials))
    }
}

/// Writes no variable.
impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}
