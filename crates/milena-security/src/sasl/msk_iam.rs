//! AWS_MSK_IAM: a signed request as JSON, for brokers of Amazon MSK.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_core::{Result, Timestamp, WallClock};
use serde_json::{Map, Value, json};

use super::accounts::Accounts;
use super::exchange::{AuthenticatedUser, ClientExchange, Refusal, ServerStep, Step, broken};
use crate::aws::{ACTION, ALGORITHM, AwsCredentials, MskRequest, Region, USER_AGENT};
use crate::secret::{CredentialId, Secret};

/// The client's half of AWS_MSK_IAM.
pub struct MskIamClient {
    /// The signed message.
    message: Secret,
    /// The identity of the credentials.
    credential: CredentialId,
    /// The time at which the credentials expire. `None` for long-term ones.
    expires: Option<Timestamp>,
}

impl MskIamClient {
    /// Creates the half for one authentication with the broker whose advertised name is `host`.
    ///
    /// # Errors
    /// [`ErrorKind::Security`](milena_core::ErrorKind::Security) if the credentials are expired.
    pub fn new(
        host: &str,
        region: &Region,
        credentials: &AwsCredentials,
        now: Timestamp,
    ) -> Result<Self> {
        let request = MskRequest::new(host, region, credentials, now)?;
        let signed = request.sign(credentials)?;
        let mut message = json!({
            "version": VERSION,
            "host": request.host,
            "user-agent": USER_AGENT,
            "action": ACTION,
            "x-amz-algorithm": ALGORITHM,
            "x-amz-credential": signed.credential,
            "x-amz-date": signed.date,
            "x-amz-signedheaders": "host",
            "x-amz-expires": request.expires.as_secs().to_string(),
            "x-amz-signature": signed.signature,
        });
        if let (Some(token), Some(fields)) = (&credentials.session_token, message.as_object_mut()) {
            fields.insert("x-amz-security-token".to_owned(), json!(token.text()?));
        }
        Ok(Self {
            message: Secret::from(message.to_string()),
            credential: credentials.id(),
            expires: credentials.expires,
        })
    }
}

impl ClientExchange for MskIamClient {
    fn start(&mut self) -> Secret {
        self.message.clone()
    }

    fn step(&mut self, answer: &[u8]) -> Result<Step> {
        // An empty answer with error code 0 is a failure.
        let answer: Option<Map<String, Value>> = serde_json::from_slice(answer).ok();
        if answer.is_some_and(|answer| answer.contains_key("version")) {
            return Ok(Step::Done);
        }
        Err(broken(
            "the broker did not accept the AWS identity: check that it may do kafka-cluster:Connect, \
             and that the region and the clock are right",
        ))
    }

    fn credential(&self) -> CredentialId {
        self.credential
    }

    fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

/// The server's half of AWS_MSK_IAM. It computes the signature again.
pub struct MskIamServer {
    /// The access keys.
    accounts: Arc<dyn Accounts>,
    /// The names that a client may sign for. Empty allows each.
    hosts: Vec<String>,
    /// The clock that checks the time of a signature.
    clock: WallClock,
    /// True once a message was taken.
    over: bool,
}

impl MskIamServer {
    /// Creates the half for one authentication. `hosts` are the advertised names of the broker.
    #[must_use]
    pub fn new(accounts: Arc<dyn Accounts>, hosts: Vec<String>, clock: WallClock) -> Self {
        Self {
            accounts,
            hosts,
            clock,
            over: false,
        }
    }

    /// Checks the only message.
    pub fn step(&mut self, message: &[u8]) -> ServerStep {
        let first = !std::mem::replace(&mut self.over, true);
        let user = if first { self.check(message) } else { None };
        match user {
            Some(user) => ServerStep::Accepted {
                answer: json!({ "version": VERSION, "request-id": "milena" })
                    .to_string()
                    .into_bytes(),
                user,
            },
            None => ServerStep::Refused(Refusal::new("Authentication failed: Access denied")),
        }
    }

    fn check(&self, message: &[u8]) -> Option<AuthenticatedUser> {
        let named: BTreeMap<String, String> = serde_json::from_slice(message).ok()?;
        let value = |name: &str| named.get(name).map(String::as_str);
        let host = value("host")?;
        let served = self.hosts.is_empty() || self.hosts.iter().any(|known| known == host);
        if value("version") != Some(VERSION) || !served {
            return None;
        }
        let request = MskRequest::read(host, &named)?;
        let account = self.accounts.aws(&request.access_key_id)?;
        let given = value("x-amz-security-token").map(Secret::from);
        if given != account.session_token {
            return None;
        }
        let mut credentials = AwsCredentials::new(request.access_key_id.clone(), account.secret);
        credentials.session_token = account.session_token;
        let signature = value("x-amz-signature")?;
        if !request.is_signed_by(&credentials, signature, self.clock.now()) {
            return None;
        }
        let mut user = AuthenticatedUser::new(account.principal);
        user.expires = account.expires;
        Some(user)
    }
}

/// The version of the message.
const VERSION: &str = "2020_10_22";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sasl::AwsAccount;

    struct Keys;

    impl Accounts for Keys {
        fn aws(&self, id: &str) -> Option<AwsAccount> {
            (id == "AKID").then(|| AwsAccount {
                secret: "secret".into(),
                session_token: Some("session".into()),
                principal: "arn:aws:sts::1:assumed-role/app/name".to_owned(),
                expires: None,
            })
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + seconds * 1_000)
    }

    fn client(host: &str, keys: &AwsCredentials) -> MskIamClient {
        MskIamClient::new(host, &Region::new("us-west-2").unwrap(), keys, at(0)).unwrap()
    }

    fn server(now: i64) -> MskIamServer {
        let clock = WallClock::new(move || at(now));
        MskIamServer::new(Arc::new(Keys), vec!["b-1".to_owned()], clock)
    }

    fn keys() -> AwsCredentials {
        AwsCredentials::new("AKID", "secret").with_session("session")
    }

    #[test]
    fn the_broker_computes_the_same_signature() {
        let mut client = client("b-1", &keys());
        let step = server(0).step(client.start().expose());
        let ServerStep::Accepted { answer, user } = step else {
            panic!("{step:?}");
        };
        assert!(matches!(client.step(&answer).unwrap(), Step::Done));
        assert_eq!(user.principal, "arn:aws:sts::1:assumed-role/app/name");
    }

    #[test]
    fn another_host_key_session_or_time_is_refused() {
        let refused = |client: &mut MskIamClient, now| {
            matches!(
                server(now).step(client.start().expose()),
                ServerStep::Refused(_)
            )
        };
        assert!(refused(&mut client("b-2", &keys()), 0));
        assert!(refused(
            &mut client("b-1", &AwsCredentials::new("AKID", "secret")),
            0
        ));
        let wrong = AwsCredentials::new("AKID", "wrong").with_session("session");
        assert!(refused(&mut client("b-1", &wrong), 0));
        let unknown = AwsCredentials::new("OTHER", "secret").with_session("session");
        assert!(refused(&mut client("b-1", &unknown), 0));
        assert!(refused(&mut client("b-1", &keys()), 900));
        assert!(!refused(&mut client("b-1", &keys()), 899));
    }

    #[test]
    fn every_signed_value_counts() {
        let message = client("b-1", &keys()).start();
        let message: Map<String, Value> = serde_json::from_slice(message.expose()).unwrap();
        for name in message.keys().filter(|name| *name != "user-agent") {
            let mut changed = message.clone();
            let value = changed[name].as_str().unwrap().to_owned();
            changed.insert(
                name.clone(),
                json!(value.replace(['0', '9', 'a'], "1") + "1"),
            );
            let bytes = serde_json::to_vec(&changed).unwrap();
            assert!(
                matches!(server(0).step(&bytes), ServerStep::Refused(_)),
                "{name}"
            );
        }
    }

    #[test]
    fn an_empty_answer_is_a_failure() {
        for answer in [&b""[..], b"{}", b"null", b"\xff"] {
            assert!(client("b-1", &keys()).step(answer).is_err());
        }
    }

    #[test]
    fn the_message_has_the_keys_of_the_documentation() {
        let message = client("b-1", &keys()).start();
        let message: Map<String, Value> = serde_json::from_slice(message.expose()).unwrap();
        assert_eq!(message["x-amz-expires"], "900");
        assert_eq!(message["x-amz-date"], "20270115T080000Z");
        assert_eq!(
            message["x-amz-credential"],
            "AKID/20270115/us-west-2/kafka-cluster/aws4_request"
        );
        assert_eq!(message.len(), 11);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_half_panic(bytes in any::<Vec<u8>>()) {
            let _ = client("b-1", &keys()).step(&bytes);
            prop_assert!(matches!(server(0).step(&bytes), ServerStep::Refused(_)));
        }

        #[test]
        fn no_value_makes_the_server_panic(name in 0_usize..11, value in "\\PC{0,30}") {
            let message = client("b-1", &keys()).start();
            let mut message: Map<String, Value> = serde_json::from_slice(message.expose()).unwrap();
            let name = message.keys().nth(name).unwrap().clone();
            message.insert(name, json!(value));
            let _ = server(0).step(&serde_json::to_vec(&message).unwrap());
        }
    }
}
