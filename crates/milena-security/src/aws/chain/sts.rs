//! The request by which a signed token of a cluster becomes AWS credentials.

use milena_core::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

use super::reading::{answer, credentials};
use crate::aws::credentials::AwsCredentials;
use crate::aws::region::Region;
use crate::aws::sigv4::encoded;
use crate::http::{HttpClient, HttpRequest, HttpUrl};
use crate::secret::SecretSource;

/// A role that a program takes on with a token that its cluster signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WebIdentity {
    /// The ARN of the role.
    pub(crate) role: String,
    /// The file with the token.
    pub(crate) token_file: String,
    /// The name of the session. The same each time, since a broker refuses another principal on the
    /// same connection.
    pub(crate) session: String,
}

impl WebIdentity {
    /// Asks the token service for credentials (AssumeRoleWithWebIdentity).
    pub(crate) async fn credentials(
        &self,
        http: &HttpClient,
        endpoint: &HttpUrl,
    ) -> Result<AwsCredentials> {
        let token = SecretSource::file(&self.token_file).read().await?;
        let form = Zeroizing::new(format!(
            "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
            encoded(&self.role),
            encoded(&self.session),
            *Zeroizing::new(encoded(token.text()?)),
        ));
        let kind = "application/x-www-form-urlencoded";
        let request = HttpRequest::post(endpoint.clone(), kind, form.as_str());
        let request = request.header("accept", "application/json");
        let place = "the AWS token service";
        let found = answer(&http.send(&request).await?, place).map_err(|error| {
            if error.is_retriable() {
                return error;
            }
            let text = format!(
                "the AWS token service does not let {} be assumed: check the trust policy of the role",
                self.role
            );
            Error::new(ErrorKind::Security, text).with_source(error)
        })?;
        let path = "/AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials";
        let inner = found.pointer(path).unwrap_or(&serde_json::Value::Null);
        credentials(inner, "SessionToken", place)
    }
}

/// Returns the address of the token service in `region`.
pub(crate) fn endpoint(region: &Region) -> Result<HttpUrl> {
    let suffix = if region.name().starts_with("cn-") {
        ".cn"
    } else {
        ""
    };
    format!("https://sts.{region}.amazonaws.com{suffix}/").parse()
}

/// The name of a session that nobody named.
pub(crate) const SESSION: &str = "milena";
