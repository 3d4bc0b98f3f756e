//! A scan of everything that is logged and shown for the secrets of the test.

#![cfg(all(feature = "http", any(feature = "ring", feature = "aws-lc-rs")))]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../bed/mod.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod bed;
#[path = "../bed/web.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod web;

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use milena_core::Backoff;
use milena_security::aws::{AwsChain, AwsCredentialProvider, AwsCredentials};
use milena_security::http::HttpClient;
use milena_security::sasl::{
    Accounts, AuthPeer, Login, Mechanism, Sasl, ScramAccount, ScramCredential, ScramHash,
    ServerExchange, ServerStep, Step,
};
use milena_security::tls::{TlsConfig, TlsServerConfig};
use milena_security::token::{Grant, OidcProvider, Refresher, TokenProvider};
use milena_security::{Secret, SecretSource};
use parking_lot::Mutex;

use crate::bed::Ca;
use crate::web::{Web, answer};

/// The part that all secrets of this test have in common.
const CANARY: &str = "canary-5d1e";

/// A log that is kept in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Users whose password is another one than the client's.
struct Users;

impl Accounts for Users {
    fn password(&self, _: &str) -> Option<Secret> {
        Some(format!("other-{CANARY}").into())
    }

    fn scram(&self, _: &str, hash: ScramHash, _: bool) -> Option<ScramAccount> {
        let password = format!("other-{CANARY}");
        Some(ScramAccount {
            credential: ScramCredential::derive(hash, password.as_bytes(), b"salt", 4_096).unwrap(),
            principal: "alice".to_owned(),
            expires: None,
        })
    }
}

/// Fails one authentication of `mechanism`, and writes everything that can be shown.
async fn authenticate(sasl: &Sasl, mechanism: Mechanism, shown: &mut String) {
    let mut client = sasl
        .begin(&AuthPeer::new("b-1.kafka.eu-west-1.amazonaws.com"))
        .await
        .unwrap();
    let mut server = ServerExchange::new(mechanism, Arc::new(Users));
    let mut message = client.start();
    loop {
        let step = server.step(message.expose());
        writeln!(
            shown,
            "{sasl:?} {message:?} {step:?} {:?}",
            client.credential()
        )
        .unwrap();
        let ServerStep::Challenge(challenge) = step else {
            return;
        };
        match client.step(&challenge) {
            Ok(Step::Send(next)) => message = next,
            Ok(Step::Done) => return,
            Err(error) => return writeln!(shown, "{error:?} {error:#?}").unwrap(),
        }
    }
}

#[tokio::test]
async fn no_secret_is_logged_or_shown() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let mut shown = String::new();

    let login = || Login::new("alice", format!("password-{CANARY}"));
    let keys = AwsCredentials::new("AKID", format!("key-{CANARY}")).with_session(CANARY);
    for (sasl, mechanism) in [
        (Sasl::plain(login()), Mechanism::Plain),
        (
            Sasl::scram(ScramHash::Sha256, login()),
            Mechanism::ScramSha256,
        ),
        (
            Sasl::scram(ScramHash::Sha512, login()),
            Mechanism::ScramSha512,
        ),
        (Sasl::aws_msk_iam(None, keys.clone()), Mechanism::AwsMskIam),
    ] {
        authenticate(&sasl, mechanism, &mut shown).await;
    }

    let ca = Ca::root("root");
    let issued = ca.issue(&["localhost"]);
    let server = TlsServerConfig::builder(issued.source()).build().unwrap();
    let web = Web::secure(&server, |_| {
        answer(401, &format!(r#"{{"error":"{CANARY}"}}"#))
    })
    .await;
    let tls = TlsConfig::builder()
        .roots(ca.roots())
        .identity(issued.source());
    let tls = tls.build().unwrap();
    let http = HttpClient::builder(tls.clone()).build();
    let secret = SecretSource::value(format!("secret-{CANARY}"));
    let id = "billing".to_owned();
    let grant = Grant::ClientSecret { id, secret };
    let quick = Backoff::new(Duration::from_millis(1), Duration::from_millis(1));
    let provider = OidcProvider::new(http, web.url("/token"), grant).backoff(quick);
    writeln!(shown, "{provider:?} {tls:?} {:?}", login()).unwrap();
    let refresher = Refresher::new(provider);
    let error = refresher.token().await.unwrap_err();
    writeln!(shown, "{refresher:?} {error:?} {error:#?} {keys:?}").unwrap();

    let chain = AwsChain::builder(tls)
        .sts_endpoint(web.url("/"))
        .variables(|name| match name {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Some("http://192.0.2.1/".to_owned()),
            "AWS_CONTAINER_AUTHORIZATION_TOKEN" => Some(CANARY.to_owned()),
            _ => None,
        })
        .build()
        .unwrap();
    let error = chain.credentials().await.unwrap_err();
    writeln!(shown, "{chain:?} {error:?} {error:#?}").unwrap();

    let logged = String::from_utf8(log.0.lock().clone()).unwrap();
    assert!(
        logged.contains("a bearer token could not be fetched"),
        "{logged}"
    );
    let key = issued.key.lines().nth(1).unwrap();
    for text in [logged, shown] {
        assert!(!text.contains(CANARY) && !text.contains(key), "{text}");
    }
}
