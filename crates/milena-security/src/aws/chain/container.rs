//! The endpoint that gives credentials to a container (ECS, EKS Pod Identity).

use milena_core::{Error, ErrorKind, Result};

use super::environment::Variables;
use super::reading::{answer, credentials};
use crate::aws::credentials::AwsCredentials;
use crate::http::{HttpClient, HttpRequest, HttpUrl};
use crate::secret::{Secret, SecretSource};

/// Asks the endpoint that the variables name. `base` is the host of a relative address. `None` if
/// they name none.
pub(crate) async fn ask(
    variables: &Variables,
    http: &HttpClient,
    base: &HttpUrl,
) -> Result<Option<AwsCredentials>> {
    let url = match variables.value("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
        Some(path) => base.with_path(&path)?,
        None => match variables.value("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            Some(full) => full.parse()?,
            None => return Ok(None),
        },
    };
    let mut request = HttpRequest::get(url).header("accept", "application/json");
    if let Some(token) = token(variables).await? {
        request = request.header("authorization", token);
    }
    let place = "the AWS container endpoint";
    let found = answer(&http.send(&request).await?, place)?;
    credentials(&found, "Token", place).map(Some)
}

/// Returns the token for the endpoint, which is read from its file anew each time.
async fn token(variables: &Variables) -> Result<Option<Secret>> {
    let token = match variables.value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(path) => Some(SecretSource::file(path).read().await?),
        None => variables
            .value("AWS_CONTAINER_AUTHORIZATION_TOKEN")
            .map(Secret::from),
    };
    if token
        .as_ref()
        .is_some_and(|token| token.expose().contains(&b'\n'))
    {
        let text = "the token for the AWS container endpoint has more than one line";
        return Err(Error::new(ErrorKind::Config, text));
    }
    Ok(token)
}
