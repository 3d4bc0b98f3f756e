//! The role and the token file that the environment of a pod names.

use milena_core::{Error, ErrorKind, Result};

use super::environment::Variables;
use super::sts::{SESSION, WebIdentity};

/// Returns the role in `AWS_ROLE_ARN`, `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_SESSION_NAME`.
/// `None` if no token file is named.
pub(crate) fn role(variables: &Variables) -> Result<Option<WebIdentity>> {
    let Some(token_file) = variables.value("AWS_WEB_IDENTITY_TOKEN_FILE") else {
        return Ok(None);
    };
    let role = variables.value("AWS_ROLE_ARN").ok_or_else(|| {
        let text = "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not: set both or none";
        Error::new(ErrorKind::Config, text)
    })?;
    let session = variables.value("AWS_ROLE_SESSION_NAME");
    Ok(Some(WebIdentity {
        role,
        token_file,
        session: session.unwrap_or_else(|| SESSION.to_owned()),
    }))
}
