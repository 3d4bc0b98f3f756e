//! Token providers against a token endpoint on loopback.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use milena_core::{Backoff, ErrorKind, Timestamp, WallClock};
use milena_security::SecretSource;
use milena_security::sasl::SaslExtensions;
use milena_security::tls::{PemSource, SigningAlgorithm, TokenSigner};
use milena_security::token::{Assertion, Grant, OidcProvider, TokenProvider};
#[cfg(not(feature = "ring"))]
use rustls::crypto::aws_lc_rs::default_provider as cryptography;
#[cfg(feature = "ring")]
use rustls::crypto::ring::default_provider as cryptography;
use serde_json::Value;

use crate::client::on_loopback;
use crate::web::{Web, answer};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn secret() -> Grant {
    Grant::ClientSecret {
        id: "billing".into(),
        secret: SecretSource::value("s+cret:canary"),
    }
}

fn asking(web: &Web, grant: Grant) -> OidcProvider {
    let quick = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
    OidcProvider::new(on_loopback(), web.url("/token"), grant)
        .clock(WallClock::new(|| NOW))
        .backoff(quick)
}

async fn token_server() -> Web {
    let json = r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600}"#;
    Web::start(move |_| answer(200, json)).await
}

/// The pairs of the form of a request, decoded.
fn form(request: &str) -> Vec<(String, String)> {
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let pairs = body.split('&').map(|pair| pair.split_once('=').unwrap());
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .unwrap()
            .into_owned()
    };
    pairs
        .map(|(name, value)| (name.to_owned(), decoded(value)))
        .collect()
}

#[tokio::test]
async fn client_credentials_go_in_the_header_and_the_scope_in_the_form() {
    let web = token_server().await;
    let extensions = SaslExtensions::new()
        .with("logicalCluster", "lkc-1")
        .unwrap();
    let provider = asking(&web, secret())
        .scope("a b&c")
        .extensions(extensions.clone());
    let token = provider.token().await.unwrap();
    assert_eq!(token.value().text().unwrap(), "abc");
    assert_eq!(token.expires(), NOW.plus(Duration::from_secs(3_600)));
    assert_eq!(token.extensions(), &extensions);
    provider.encode_secret().token().await.unwrap();

    let requests = web.requests();
    let request = &requests[0];
    assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");
    for header in [
        "accept: application/json\r\n",
        "cache-control: no-cache\r\n",
        "content-type: application/x-www-form-urlencoded\r\n",
        &format!("host: localhost:{}\r\n", web.port()),
        &format!(
            "authorization: Basic {}\r\n",
            STANDARD.encode("billing:s+cret:canary")
        ),
    ] {
        assert!(request.contains(header), "{header} in {request}");
    }
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted = [
        pair("grant_type", "client_credentials"),
        pair("scope", "a b&c"),
    ];
    assert_eq!(form(request), wanted);
    let encoded = STANDARD.encode("billing:s%2Bcret%3Acanary");
    assert!(requests[1].contains(&encoded));
}

#[tokio::test]
async fn a_long_scope_arrives_whole() {
    let web = token_server().await;
    let scope = "x".repeat(16 << 10);
    asking(&web, secret())
        .scope(scope.clone())
        .token()
        .await
        .unwrap();
    assert_eq!(form(&web.requests()[0])[1].1, scope);
}

#[tokio::test]
async fn a_server_that_is_down_is_asked_again_and_one_that_refuses_is_not() {
    let count = AtomicU32::new(0);
    let web = Web::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => answer(503, "busy"),
        1 => Vec::new(),
        2 => answer(429, ""),
        3 => answer(200, r#"{"access_token":"abc","expires_in":"60"}"#),
        _ => answer(
            401,
            r#"{"error":"invalid_client","error_description":"s+cret:canary"}"#,
        ),
    })
    .await;
    let provider = asking(&web, secret());
    assert!(provider.token().await.is_ok());
    assert_eq!(web.requests().len(), 4);
    let error = provider.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
    let text = format!("{error:?} {error:#?}");
    assert!(
        text.contains("401 (invalid_client)") && !text.contains("canary"),
        "{text}"
    );
    assert_eq!(web.requests().len(), 5);
}

#[tokio::test]
async fn a_server_that_stays_down_is_given_up() {
    let web = Web::start(|_| answer(500, "s+cret:canary")).await;
    let error = asking(&web, secret()).token().await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
    assert_eq!(web.requests().len(), 5);
}

#[tokio::test]
async fn an_answer_without_a_usable_token_is_refused_with_a_reason() {
    for (body, reason) in [
        ("", "no JSON"),
        ("[]", "access_token is missing"),
        (r#"{"access_token":""}"#, "access_token is missing"),
        (r#"{"access_token":"canary"}"#, "neither expires_in nor"),
        (
            r#"{"access_token":"canary","expires_in":9,"token_type":"mac"}"#,
            "no bearer token",
        ),
    ] {
        let web = Web::start(move |_| answer(200, body)).await;
        let error = asking(&web, secret()).token().await.unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains(reason) && !text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn a_life_in_the_token_itself_counts() {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = format!(
        "{}.{}.x",
        part(r#"{"alg":"RS256"}"#),
        part(r#"{"exp":1800000060}"#)
    );
    let json = format!(r#"{{"access_token":"{token}","expires_in":3600}}"#);
    let web = Web::start(move |_| answer(200, &json)).await;
    let found = asking(&web, secret()).token().await.unwrap();
    assert_eq!(found.expires(), NOW.plus(Duration::from_secs(60)));
}

fn fixture(name: &str) -> PemSource {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tls/fixtures");
    PemSource::file(folder.join(name))
}

fn signed(algorithm: SigningAlgorithm, key: &str, password: Option<&SecretSource>) -> Assertion {
    let signer = TokenSigner::read(algorithm, &fixture(key), password).unwrap();
    Assertion::signed(signer, "https://login", "issuer", "billing")
}

/// Checks the signature of `token` with the key of a certificate, and returns header and claims.
fn verified(token: &str, certificate: &str, name: &str) -> (Value, Value) {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use x509_cert::der::Decode;
    let path = fixture(certificate).path().unwrap().to_owned();
    let certificate = CertificateDer::from_pem_file(path).unwrap();
    let certificate = x509_cert::Certificate::from_der(&certificate).unwrap();
    let key = certificate
        .tbs_certificate
        .subject_public_key_info
        .subject_public_key;
    let (text, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    if name == "ES256" {
        signature = in_der(&signature);
    }
    let all = cryptography().signature_verification_algorithms.all;
    let mut matching = all.iter().filter(|algorithm| {
        algorithm
            .verify_signature(key.raw_bytes(), text.as_bytes(), &signature)
            .is_ok()
    });
    assert!(matching.next().is_some(), "the signature is wrong");
    let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let (header, claims) = text.split_once('.').unwrap();
    (part(header), part(claims))
}

/// Writes both halves of a signature as integers in DER.
fn in_der(signature: &[u8]) -> Vec<u8> {
    assert_eq!(signature.len(), 64);
    let mut inner = Vec::new();
    for half in signature.chunks(32) {
        let short: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = u8::from(short[0] >= 0x80);
        inner.extend_from_slice(&[2, u8::try_from(short.len()).unwrap() + sign]);
        inner.extend(std::iter::repeat_n(0, sign.into()));
        inner.extend(short);
    }
    let mut der = vec![0x30, u8::try_from(inner.len()).unwrap()];
    der.extend(inner);
    der
}

#[tokio::test]
async fn an_assertion_is_signed_for_each_request() {
    for (algorithm, key, certificate, name) in [
        (SigningAlgorithm::Es256, "pkcs8.pem", "ec-cert.pem", "ES256"),
        (
            SigningAlgorithm::Rs256,
            "pkcs1.pem",
            "rsa-cert.pem",
            "RS256",
        ),
    ] {
        let web = token_server().await;
        let assertion = signed(algorithm, key, None)
            .key_id("key-1")
            .with_id()
            .claim("team", "a");
        asking(&web, Grant::JwtBearer(assertion))
            .scope("kafka")
            .token()
            .await
            .unwrap();
        let pairs = form(&web.requests()[0]);
        let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["grant_type", "assertion", "scope"]);
        assert_eq!(pairs[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let (header, claims) = verified(&pairs[1].1, certificate, name);
        assert_eq!(
            (&header["alg"], &header["kid"]),
            (&name.into(), &"key-1".into())
        );
        let now = 1_800_000_000;
        for (claim, wanted) in [
            ("aud", "https://login".into()),
            ("iss", "issuer".into()),
            ("sub", "billing".into()),
            ("team", "a".into()),
            ("iat", Value::from(now)),
            ("nbf", Value::from(now - 60)),
            ("exp", Value::from(now + 300)),
        ] {
            assert_eq!(claims[claim], wanted, "{claim}");
        }
        assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
    }
}

#[tokio::test]
async fn a_client_assertion_stands_in_place_of_the_secret() {
    let web = token_server().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("assertion");
    std::fs::write(&path, "from.a.file\n").unwrap();
    let grant = Grant::ClientAssertion {
        id: Some("billing".into()),
        assertion: Assertion::read_from(SecretSource::file(path)),
    };
    asking(&web, grant).scope("kafka").token().await.unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let wanted = [
        pair("client_assertion_type", kind),
        pair("client_assertion", "from.a.file"),
        pair("grant_type", "client_credentials"),
        pair("client_id", "billing"),
        pair("scope", "kafka"),
    ];
    assert_eq!(form(&web.requests()[0]), wanted);
    assert!(!web.requests()[0].contains("authorization"));
}

#[tokio::test]
async fn a_template_adds_to_header_and_claims() {
    let web = token_server().await;
    let template = r#"{"header":{"x5t":"abc","kid":"old"},"payload":{"roles":["a"],"sub":"old"}}"#;
    let assertion = signed(SigningAlgorithm::Es256, "pkcs8.pem", None).key_id("new");
    let with = |template: &str| assertion.clone().template(SecretSource::value(template));
    asking(&web, Grant::JwtBearer(with(template)))
        .token()
        .await
        .unwrap();
    let (header, claims) = verified(&form(&web.requests()[0])[1].1, "ec-cert.pem", "ES256");
    assert_eq!(
        (&header["x5t"], &header["kid"]),
        (&"abc".into(), &"new".into())
    );
    assert_eq!(
        (&claims["roles"][0], &claims["sub"]),
        (&"a".into(), &"billing".into())
    );
    let error = asking(&web, Grant::JwtBearer(with("[]")))
        .token()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no template"), "{error}");
}

#[test]
fn a_key_of_another_kind_cannot_sign() {
    for (algorithm, key) in [
        (SigningAlgorithm::Rs256, "pkcs8.pem"),
        (SigningAlgorithm::Es256, "pkcs1.pem"),
    ] {
        let error = TokenSigner::read(algorithm, &fixture(key), None).unwrap_err();
        assert!(error.to_string().contains(algorithm.name()), "{error}");
    }
}

#[cfg(feature = "encrypted-keys")]
#[test]
fn an_encrypted_key_signs_with_its_password() {
    let password = SecretSource::value("changeit");
    let _ = signed(SigningAlgorithm::Es256, "encrypted.pem", Some(&password));
}
