//! The client's half of each mechanism against the server's half, as the pool and the broker run
//! them.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorKind, Result, Timestamp};
use milena_security::aws::{AwsCredentials, MskTokenProvider, Region, verify_msk_token};
use milena_security::sasl::{
    Accounts, AuthPeer, AuthenticatedUser, AwsAccount, BearerAccount, BearerRefusal, Login,
    Mechanism, Sasl, SaslExtensions, ScramAccount, ScramCredential, ScramHash, ServerExchange,
    ServerStep, Step,
};
use milena_security::token::{StaticProvider, read_unsecured, unsecured};
use milena_security::{CredentialId, Secret, SecretSource};

const PASSWORD: &str = "canary-7f3a";

/// One user, one delegation token, one access key, and tokens without a signature.
struct Known;

impl Accounts for Known {
    fn password(&self, user: &str) -> Option<Secret> {
        (user == "alice").then(|| PASSWORD.into())
    }

    fn scram(&self, user: &str, hash: ScramHash, by_token: bool) -> Option<ScramAccount> {
        let known = user == if by_token { "token-1" } else { "alice" };
        known.then(|| ScramAccount {
            credential: ScramCredential::derive(hash, PASSWORD.as_bytes(), b"salt", 4_096).unwrap(),
            principal: "alice".to_owned(),
            expires: None,
        })
    }

    fn bearer(&self, token: &Secret, _: &SaslExtensions) -> Result<BearerAccount, BearerRefusal> {
        let token = token.text().map_err(|_| BearerRefusal::default())?;
        let now = Timestamp::now();
        let lookup = |id: &str| (id == "AKID").then(aws_keys);
        let found = match read_unsecured(token, now) {
            Ok((principal, expires)) => Some((principal, expires)),
            Err(_) => verify_msk_token(token, now, lookup)
                .ok()
                .map(|request| (request.access_key_id.clone(), request.expires_at())),
        };
        let (principal, expires) = found.ok_or_else(BearerRefusal::default)?;
        Ok(BearerAccount {
            principal,
            expires: Some(expires),
        })
    }

    fn aws(&self, access_key_id: &str) -> Option<AwsAccount> {
        (access_key_id == "AKID").then(|| AwsAccount {
            secret: PASSWORD.into(),
            session_token: None,
            principal: "arn:aws:iam::1:user/alice".to_owned(),
            expires: None,
        })
    }
}

fn aws_keys() -> AwsCredentials {
    AwsCredentials::new("AKID", PASSWORD)
}

fn region() -> Region {
    Region::new("eu-central-1").unwrap()
}

/// Runs one authentication. Returns the user, or the text of the refusal and the identity of the
/// credential.
async fn authenticate(sasl: &Sasl) -> Result<AuthenticatedUser, (String, CredentialId)> {
    let mechanism: Mechanism = sasl.name().parse().unwrap();
    let mut client = sasl
        .begin(&AuthPeer::new("b-1.kafka.eu-central-1.amazonaws.com"))
        .await
        .unwrap();
    let mut server = ServerExchange::new(mechanism, Arc::new(Known));
    let mut message = client.start();
    loop {
        match server.step(message.expose()) {
            ServerStep::Challenge(answer) => match client.step(&answer) {
                Ok(Step::Send(next)) => message = next,
                Ok(Step::Done) => panic!("the client is done before the server"),
                Err(error) => return Err((error.to_string(), client.credential())),
            },
            ServerStep::Accepted { answer, user } => {
                assert!(matches!(client.step(&answer).unwrap(), Step::Done));
                return Ok(user);
            }
            ServerStep::Refused(refusal) => {
                return Err((refusal.text().to_owned(), client.credential()));
            }
        }
    }
}

/// Each mechanism with a credential that is known, and with one that is not.
fn identities() -> Vec<(Sasl, Sasl, &'static str)> {
    let login = |password: &str| Login::new("alice", password);
    let hour = Duration::from_secs(3_600);
    let bearer = |life| StaticProvider::new(unsecured("alice", Timestamp::now(), life));
    let wrong_keys = || AwsCredentials::new("AKID", "wrong");
    vec![
        (
            Sasl::plain(login(PASSWORD)),
            Sasl::plain(login("wrong")),
            "alice",
        ),
        (
            Sasl::scram(ScramHash::Sha256, login(PASSWORD)),
            Sasl::scram(ScramHash::Sha256, login("wrong")),
            "alice",
        ),
        (
            Sasl::scram(ScramHash::Sha512, login(PASSWORD)),
            Sasl::scram(ScramHash::Sha512, Login::new("nobody", PASSWORD)),
            "alice",
        ),
        (
            Sasl::delegation_token(ScramHash::Sha256, Login::new("token-1", PASSWORD)),
            Sasl::scram(ScramHash::Sha256, Login::new("token-1", PASSWORD)),
            "alice",
        ),
        (
            Sasl::oauth_bearer(bearer(hour)),
            Sasl::oauth_bearer(bearer(Duration::ZERO)),
            "alice",
        ),
        (
            Sasl::oauth_bearer(MskTokenProvider::new(region(), aws_keys())),
            Sasl::oauth_bearer(MskTokenProvider::new(region(), wrong_keys())),
            "AKID",
        ),
        (
            Sasl::aws_msk_iam(None, aws_keys()),
            Sasl::aws_msk_iam(Some(region()), wrong_keys()),
            "arn:aws:iam::1:user/alice",
        ),
    ]
}

#[tokio::test]
async fn each_mechanism_accepts_its_credential_and_refuses_another() {
    for (right, wrong, principal) in identities() {
        let user = authenticate(&right).await.unwrap();
        assert_eq!(user.principal, principal, "{right:?}");
        let (text, _) = authenticate(&wrong).await.unwrap_err();
        assert!(
            !text.contains("wrong") || !text.contains(PASSWORD),
            "{wrong:?}: {text}"
        );
    }
}

#[tokio::test]
async fn no_secret_stands_in_what_is_shown() {
    for (right, wrong, _) in identities() {
        let (text, _) = authenticate(&wrong).await.unwrap_err();
        let user = authenticate(&right).await.unwrap();
        let mut client = right
            .begin(&AuthPeer::new("broker-1.eu-central-1.amazonaws.com"))
            .await
            .unwrap();
        let message = client.start();
        for shown in [
            text,
            format!(
                "{user:?} {right:?} {:?} {message:?}",
                Step::Send(message.clone())
            ),
        ] {
            assert!(!shown.contains(PASSWORD), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_rotated_password_is_another_credential() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "old").unwrap();
    let sasl = Sasl::scram(
        ScramHash::Sha256,
        Login::new("alice", SecretSource::file(&path)),
    );
    let (_, first) = authenticate(&sasl).await.unwrap_err();
    let (_, again) = authenticate(&sasl).await.unwrap_err();
    assert_eq!(first, again, "the same credential: back off");
    std::fs::write(&path, PASSWORD).unwrap();
    let mut client = sasl.begin(&AuthPeer::new("broker-1")).await.unwrap();
    client.start();
    assert_ne!(client.credential(), first, "another credential: try now");
    authenticate(&sasl).await.unwrap();
}

#[tokio::test]
async fn a_region_that_nothing_names_is_asked_for() {
    let sasl = Sasl::aws_msk_iam(None, aws_keys());
    if Region::of_environment().is_none() {
        let begun = sasl.begin(&AuthPeer::new("kafka.internal")).await;
        let error = begun.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("AWS_REGION"), "{error}");
    }
}
