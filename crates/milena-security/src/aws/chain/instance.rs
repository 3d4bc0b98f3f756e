//! The endpoint that gives credentials to a virtual machine (EC2), by sessions alone (IMDSv2).

use milena_core::{Error, ErrorKind, Result};
use serde_json::Value;

use super::environment::Variables;
use super::reading::{answer, credentials};
use crate::aws::credentials::AwsCredentials;
use crate::http::{HttpAnswer, HttpClient, HttpRequest, HttpUrl};

/// Asks the endpoint at `base`. `None` if `AWS_EC2_METADATA_DISABLED` is set, or if nothing answers
/// there, as on a machine that is not of AWS.
pub(crate) async fn ask(
    variables: &Variables,
    http: &HttpClient,
    base: &HttpUrl,
) -> Result<Option<AwsCredentials>> {
    let disabled = variables.value("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let token = HttpRequest::put(base.with_path("/latest/api/token")?)
        .header("x-aws-ec2-metadata-token-ttl-seconds", SESSION_SECONDS);
    let token = match http.send(&token).await {
        Ok(answer) => ok(answer)?.body().clone(),
        Err(error) if error.is_retriable() => {
            tracing::debug!(error = %error, "the AWS instance endpoint does not answer");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let get = async |path: &str| {
        let request = HttpRequest::get(base.with_path(path)?);
        let request = request.header("x-aws-ec2-metadata-token", token.clone());
        http.send(&request).await
    };
    let roles = get(ROLES).await?;
    if roles.status() == 404 {
        let text = "this instance has no role: attach an instance profile with a role to it";
        return Err(Error::new(ErrorKind::Security, text));
    }
    let roles = ok(roles)?;
    let role = roles
        .body()
        .text()?
        .lines()
        .next()
        .unwrap_or_default()
        .trim();
    let found = answer(&get(&format!("{ROLES}{role}")).await?, PLACE)?;
    if found
        .get("Code")
        .and_then(Value::as_str)
        .is_some_and(|code| code != "Success")
    {
        let text = "the AWS instance endpoint says that the role of this instance cannot be assumed: \
                    check its trust policy";
        return Err(Error::new(ErrorKind::Security, text));
    }
    credentials(&found, "Token", PLACE).map(Some)
}

/// Refuses an answer that is no success.
fn ok(answer: HttpAnswer) -> Result<HttpAnswer> {
    if answer.is_success() {
        return Ok(answer);
    }
    let text = format!("{PLACE} answered with status {}", answer.status());
    let kind = if answer.status() >= 500 {
        ErrorKind::Transport
    } else {
        ErrorKind::Security
    };
    Err(Error::new(kind, text))
}

/// The name of the endpoint in errors.
const PLACE: &str = "the AWS instance endpoint";
/// The path of the roles.
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// The life of a session, in seconds. One serves for three requests.
const SESSION_SECONDS: &str = "60";
