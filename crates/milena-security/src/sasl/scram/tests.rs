//! Vectors of the RFC, and what a broken or hostile peer may send.

use std::sync::{Arc, LazyLock};

use milena_core::{ErrorKind, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::sasl::{Accounts, ClientExchange, ScramAccount, ServerStep, Step, UserPassword};

/// The user of the RFC's example, and a delegation token.
struct Users(ScramHash);

impl Accounts for Users {
    fn scram(&self, user: &str, hash: ScramHash, by_token: bool) -> Option<ScramAccount> {
        let known = (user == "user" && !by_token) || (user == "token-id" && by_token);
        (known && hash == self.0).then(|| ScramAccount {
            credential: CREDENTIAL.clone(),
            principal: if by_token { "owner" } else { user }.to_owned(),
            expires: by_token.then(|| Timestamp::from_millis(7)),
        })
    }
}

/// The keys of the RFC's user. They are derived once, since that takes long without optimisation.
static CREDENTIAL: LazyLock<ScramCredential> = LazyLock::new(|| {
    let salt = [
        0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa,
        0x81,
    ];
    ScramCredential::derive(ScramHash::Sha256, b"pencil", &salt, 4_096).unwrap()
});

/// Salted passwords that the clients of all tests share.
static CACHE: LazyLock<SaltedCache> = LazyLock::new(SaltedCache::default);

fn login(user: &str, password: &str) -> UserPassword {
    UserPassword {
        user: user.into(),
        password: password.into(),
    }
}

fn client() -> ScramClient {
    let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
    let client = ScramClient::with_nonce(ScramHash::Sha256, &login("user", "pencil"), nonce);
    client.unwrap().cache(CACHE.clone())
}

fn server() -> ScramServer {
    ScramServer::new(ScramHash::Sha256, Arc::new(Users(ScramHash::Sha256)))
        .nonce("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
}

fn sent(step: Step) -> String {
    match step {
        Step::Send(bytes) => bytes.text().unwrap().to_owned(),
        Step::Done => panic!("the exchange is over"),
    }
}

const SERVER_FIRST: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

#[test]
fn both_halves_write_the_messages_of_rfc_7677() {
    let (mut client, mut server) = (client(), server());
    let first = client.start();
    assert_eq!(first.text().unwrap(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let ServerStep::Challenge(challenge) = server.step(first.expose()) else {
        panic!("no challenge");
    };
    assert_eq!(std::str::from_utf8(&challenge).unwrap(), SERVER_FIRST);
    let last = sent(client.step(&challenge).unwrap());
    assert_eq!(last, CLIENT_FINAL);
    let ServerStep::Accepted { answer, user } = server.step(last.as_bytes()) else {
        panic!("refused");
    };
    assert_eq!(std::str::from_utf8(&answer).unwrap(), SERVER_FINAL);
    assert_eq!(user.principal, "user");
    assert!(matches!(client.step(&answer).unwrap(), Step::Done));
    assert!(client.step(&answer).is_err(), "nothing may follow");
}

/// The proof and the signature by Python's hashlib for SHA-512, the same names and 4,096 rounds.
#[test]
fn sha_512_agrees_with_another_implementation() {
    let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
    let user = login("user", "pencil");
    let mut client = ScramClient::with_nonce(ScramHash::Sha512, &user, nonce).unwrap();
    client.start();
    let last = sent(client.step(SERVER_FIRST.as_bytes()).unwrap());
    assert!(last.ends_with(SHA_512_PROOF), "{last}");
    assert!(client.step(SHA_512_FINAL.as_bytes()).is_ok());
}

const SHA_512_PROOF: &str =
    ",p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
const SHA_512_FINAL: &str =
    "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";

#[test]
fn a_broker_that_does_not_know_the_password_is_refused() {
    let mut client = client();
    client.start();
    client.step(SERVER_FIRST.as_bytes()).unwrap();
    let wrong = format!("v={}", "A".repeat(43) + "=");
    let error = client.step(wrong.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
    assert!(
        error.to_string().contains("does not know the password"),
        "{error}"
    );
}

#[test]
fn a_nonce_that_does_not_extend_ours_is_refused() {
    for nonce in [
        "",
        "other",
        "rOprNGfwEbeRWgbNEkqO",
        "rOprNGfwEbeRWgbNEkq",
        "XrOprNGfwEbeRWgbNEkqOX",
    ] {
        let mut client = client();
        client.start();
        let first = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert!(client.step(first.as_bytes()).is_err(), "{nonce}");
    }
}

#[test]
fn iterations_outside_of_the_bounds_are_refused_at_once() {
    for count in [
        "0",
        "1",
        "4095",
        "1000001",
        "4294967295",
        "99999999999",
        "-1",
        "+4096",
        "x",
        "",
    ] {
        let mut client = client();
        client.start();
        let first = format!("r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i={count}");
        assert!(client.step(first.as_bytes()).is_err(), "{count}");
    }
}

#[test]
fn many_iterations_are_told_to_be_slow_until_they_are_cached() {
    let cache = SaltedCache::default();
    let first = b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=20000";
    let mut one = client().cache(cache.clone());
    assert!(one.is_slow(first) && !one.is_slow(SERVER_FIRST.as_bytes()));
    one.step(first).unwrap();
    assert!(!client().cache(cache).is_slow(first));
    assert!(client().cache(SaltedCache::default()).is_slow(first));
}

#[test]
fn an_error_of_the_broker_is_repeated_and_an_extension_refused() {
    for (first, text) in [
        ("e=unknown-user", "unknown-user"),
        ("m=x,r=a,s=b,i=4096", "extension"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=!,i=4096", "base64"),
        ("r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096", "empty"),
    ] {
        let error = client().step(first.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    }
    let mut client = client();
    client.step(SERVER_FIRST.as_bytes()).unwrap();
    let error = client.step(b"e=invalid-proof").unwrap_err().to_string();
    assert!(error.contains("invalid-proof"), "{error}");
}

#[test]
fn a_changed_final_message_is_refused_by_the_server() {
    let changed = [
        CLIENT_FINAL.replace("$k0,p", "$k1,p"),
        CLIENT_FINAL.replace("rOpr", "xrOpr"),
        // The suffix alone, as librdkafka before 2.6.1 doubled the nonce.
        CLIENT_FINAL.replace("r=rOprN", "r=rOprNGfwEbeRWgbNEkqOrOprN"),
        CLIENT_FINAL.replace("biws", "eSws"),
        CLIENT_FINAL.replace("dHzb", "dHzc"),
        CLIENT_FINAL.replace(",p=", ",q="),
        CLIENT_FINAL.replace("VQ=", ""),
        String::new(),
    ];
    for last in changed {
        let mut server = server();
        server.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert!(
            matches!(server.step(last.as_bytes()), ServerStep::Refused(_)),
            "{last}"
        );
        assert!(matches!(
            server.step(CLIENT_FINAL.as_bytes()),
            ServerStep::Refused(_)
        ));
    }
}

#[test]
fn first_messages_are_refused_for_unknown_users_and_broken_grammar() {
    for first in [
        "n,,n=nobody,r=abc",
        "p=tls-unique,,n=user,r=abc",
        "n,a=root,n=user,r=abc",
        "n,,m=x,n=user,r=abc",
        "n,,n=user,r=",
        "n,,n=us=er,r=abc",
        "n,,n=token-id,r=abc",
        "n,,n=user,r=abc,tokenauth=true",
        "",
    ] {
        assert!(
            matches!(server().step(first.as_bytes()), ServerStep::Refused(_)),
            "{first}"
        );
    }
    let acting = server().step(b"y,a=user,n=user,r=abc");
    assert!(matches!(acting, ServerStep::Challenge(_)));
}

#[test]
fn a_delegation_token_leads_to_its_owner() {
    let token = login("token-id", "pencil");
    let mut client = ScramClient::by_token(ScramHash::Sha256, &token).unwrap();
    let first = client.start();
    assert!(first.text().unwrap().ends_with(",tokenauth=true"));
    let mut server = server();
    let ServerStep::Challenge(challenge) = server.step(first.expose()) else {
        panic!("refused");
    };
    let last = sent(client.step(&challenge).unwrap());
    let ServerStep::Accepted { user, .. } = server.step(last.as_bytes()) else {
        panic!("refused");
    };
    assert_eq!((user.principal.as_str(), user.by_token), ("owner", true));
    assert_eq!(user.expires, Some(Timestamp::from_millis(7)));
}

#[test]
fn user_names_may_have_any_character() {
    let user = login("a=b,c é", "x");
    let mut client = ScramClient::new(ScramHash::Sha512, &user).unwrap();
    let first = client.start();
    assert!(first.text().unwrap().starts_with("n,,n=a=3Db=2Cc é,r="));
}

proptest! {
    #[test]
    fn no_bytes_make_a_half_panic(first in any::<Vec<u8>>(), then in any::<Vec<u8>>()) {
        let mut one = client();
        one.start();
        let _ = one.is_slow(&first);
        let _ = one.step(&first);
        let _ = one.step(&then);
        let mut waiting = client();
        waiting.step(SERVER_FIRST.as_bytes()).unwrap();
        prop_assert!(waiting.step(&then).is_err());
        let mut other = server();
        prop_assert!(matches!(other.step(&first), ServerStep::Refused(_)));
        let mut waiting = server();
        waiting.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        prop_assert!(matches!(waiting.step(&then), ServerStep::Refused(_)));
    }

    #[test]
    fn no_text_of_attributes_makes_a_half_panic(text in "[a-z]=[ -~]{0,9}(,[a-z]=[ -~é]{0,9}){0,4}") {
        let _ = client().step(text.as_bytes());
        let _ = server().step(format!("n,,{text}").as_bytes());
        let mut waiting = server();
        waiting.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let _ = waiting.step(text.as_bytes());
    }
}
