//! The answer to an HTTP request.

use std::fmt;

use milena_core::{Error, ErrorKind, Result};
use serde_json::Value;

use crate::secret::Secret;

/// The answer to a request. Its body counts as a secret.
#[derive(Clone)]
pub struct HttpAnswer {
    pub(crate) status: u16,
    /// The target of a redirect. `None` if the answer names none.
    pub(crate) location: Option<String>,
    pub(crate) body: Secret,
}

impl HttpAnswer {
    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns true for a status from 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &Secret {
        &self.body
    }

    /// Reads the body as JSON. The error does not show it.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(self.body.expose())
            .map_err(|_| Error::new(ErrorKind::Decode, "the answer is no JSON"))
    }
}

impl fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpAnswer({})", self.status)
    }
}
