//! Credentials in JSON, as endpoints and commands write them.

use milena_core::{Error, ErrorKind, Result, Timestamp};
use serde_json::Value;

use crate::aws::credentials::AwsCredentials;
use crate::http::HttpAnswer;

/// Reads credentials from an answer of `place`.
///
/// # Errors
/// [`ErrorKind::Transport`] for a status of a server that is down, and [`ErrorKind::Security`] for
/// any other answer without credentials. The text holds nothing of the body.
pub(crate) fn answer(answer: &HttpAnswer, place: &str) -> Result<Value> {
    if answer.is_success() {
        return answer.json().map_err(|error| {
            let text = format!("the answer of {place} is no JSON");
            Error::new(ErrorKind::Security, text).with_source(error)
        });
    }
    let text = format!(
        "{place} gave no AWS credentials: status {}",
        answer.status()
    );
    let kind = match answer.status() {
        429 | 500.. => ErrorKind::Transport,
        _ => ErrorKind::Security,
    };
    Err(Error::new(kind, text))
}

/// Reads credentials from a JSON object. `token` is the name of the session token in it.
pub(crate) fn credentials(value: &Value, token: &str, place: &str) -> Result<AwsCredentials> {
    let text = |name: &str| {
        let text = value.get(name).and_then(Value::as_str);
        text.filter(|text| !text.is_empty())
    };
    let (Some(id), Some(secret)) = (text("AccessKeyId"), text("SecretAccessKey")) else {
        let text = format!("{place} answered without AccessKeyId or SecretAccessKey");
        return Err(Error::new(ErrorKind::Security, text));
    };
    let mut credentials = AwsCredentials::new(id, secret);
    credentials.session_token = text(token).map(Into::into);
    credentials.expires = match value.get("Expiration") {
        None | Some(Value::Null) => None,
        Some(time) => Some(expiration(time).ok_or_else(|| {
            let text = format!("{place} answered with an Expiration that is no time");
            Error::new(ErrorKind::Security, text)
        })?),
    };
    Ok(credentials)
}

/// Reads a time as text such as `2026-08-01T10:11:12Z`, or as seconds.
fn expiration(value: &Value) -> Option<Timestamp> {
    if let Some(text) = value.as_str() {
        let time: jiff::Timestamp = text.parse().ok()?;
        return Some(Timestamp::from_millis(time.as_millisecond()));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
    let millis = (value.as_f64()? * 1_000.0) as i64;
    Timestamp::from_wire(millis)
}
