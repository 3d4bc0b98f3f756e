//! Files that can be used, and the sentence for each one that cannot.

use std::path::PathBuf;

use milena_core::{Error, ErrorKind, Timestamp, WallClock};
use milena_security::SecretSource;
use milena_security::tls::{IdentitySource, PemSource, Roots, TlsConfig, TlsServerConfig};

use crate::bed::Ca;

fn fixture(name: &str) -> PemSource {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tls/fixtures");
    PemSource::file(folder.join(name))
}

fn with(chain: PemSource, key: PemSource, password: Option<&str>) -> Result<TlsConfig, Error> {
    let mut source = IdentitySource::new(chain, key);
    if let Some(password) = password {
        source = source.password(SecretSource::value(password));
    }
    TlsConfig::builder()
        .roots(Ca::root("root").roots())
        .identity(source)
        .build()
}

fn refused(chain: &str, key: &str, password: Option<&str>) -> String {
    let error = with(fixture(chain), fixture(key), password).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    error.to_string()
}

#[test]
fn keys_in_all_three_forms_are_read() {
    for (chain, key) in [
        ("ec-cert.pem", "sec1.pem"),
        ("ec-cert.pem", "pkcs8.pem"),
        ("rsa-cert.pem", "pkcs1.pem"),
    ] {
        let tls = with(fixture(chain), fixture(key), None).unwrap();
        let days = tls
            .identity()
            .unwrap()
            .validity()
            .days_left(Timestamp::now());
        assert!((30_000..36_500).contains(&days), "{days}");
    }
}

#[cfg(feature = "encrypted-keys")]
#[test]
fn an_encrypted_key_needs_its_password() {
    let key = "encrypted.pem";
    with(fixture("ec-cert.pem"), fixture(key), Some("changeit")).unwrap();
    let none = refused("ec-cert.pem", key, None);
    assert!(
        none.contains("no password is set") && none.contains(key),
        "{none}"
    );
    let wrong = refused("ec-cert.pem", key, Some("hunter2"));
    assert!(
        wrong.contains("the password of the key is wrong"),
        "{wrong}"
    );
    assert!(!wrong.contains("hunter2"), "{wrong}");
    let old = refused("ec-cert.pem", "encrypted-old.pem", Some("changeit"));
    assert!(
        old.contains("openssl pkcs8 -topk8 -v2 aes-256-cbc"),
        "{old}"
    );
}

#[cfg(not(feature = "encrypted-keys"))]
#[test]
fn an_encrypted_key_needs_its_feature() {
    let text = refused("ec-cert.pem", "encrypted.pem", Some("changeit"));
    assert!(text.contains("encrypted-keys"), "{text}");
}

#[test]
fn each_wrong_file_has_its_sentence() {
    for (chain, key, wanted) in [
        (
            "rsa-cert.pem",
            "sec1.pem",
            "does not fit the certificate CN=rsa",
        ),
        ("ec-cert.pem", "ec-cert.pem", "has no private key"),
        ("sec1.pem", "sec1.pem", "has no certificate"),
        ("missing.pem", "sec1.pem", "missing.pem cannot be read"),
        ("ec-cert.pem", "proc-type.pem", "openssl pkcs8 -topk8"),
        ("store.p12", "sec1.pem", "openssl pkcs12 -in"),
    ] {
        let text = refused(chain, key, None);
        assert!(text.contains(wanted), "{chain}, {key}: {text}");
    }
}

#[test]
fn a_keystore_of_java_and_an_empty_file_are_refused_with_the_thing_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes, wanted) in [
        (
            "trust.jks",
            &b"\xfe\xed\xfe\xed\0\0\0\x02"[..],
            "keytool -importkeystore -srckeystore",
        ),
        ("empty.pem", b"", "it is empty"),
        (
            "cert.der",
            b"\x30\x82\x01\x02\x30\x82",
            "openssl x509 -inform der",
        ),
        ("text.pem", b"hello", "BEGIN CERTIFICATE"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let roots = Roots::pem(PemSource::file(&path));
        let text = TlsConfig::builder()
            .roots(roots)
            .build()
            .unwrap_err()
            .to_string();
        assert!(text.contains(wanted) && text.contains(name), "{text}");
    }
}

#[test]
fn a_certificate_out_of_its_dates_is_refused_with_them() {
    let ca = Ca::root("root");
    let issued = ca.issue_for(&["client"], 2030, 2031);
    let at = |seconds: i64| {
        let clock = WallClock::new(move || Timestamp::from_millis(seconds * 1_000));
        let builder = TlsConfig::builder().roots(ca.roots()).clock(clock);
        builder.identity(issued.source()).build()
    };
    let early = at(1_875_000_000).unwrap_err().to_string();
    assert!(
        early.contains("from 2030-01-01T00:00:00Z to 2031-01-01T00:00:00Z"),
        "{early}"
    );
    let late = at(1_970_000_000).unwrap_err().to_string();
    assert!(late.contains("expired on 2031-01-01T00:00:00Z"), "{late}");
    let valid = at(1_907_000_000).unwrap();
    let validity = valid.identity().unwrap().validity();
    // 2031 begins 22,280 days after 1970.
    assert_eq!(
        validity.not_after(),
        Timestamp::from_millis(22_280 * 86_400_000)
    );
    assert_eq!(validity.days_left(validity.not_after()), 0);
    let after = Timestamp::from_millis(validity.not_after().to_millis() + 1);
    assert_eq!(validity.days_left(after), -1);
    // A broker of a test may have an expired one.
    TlsServerConfig::builder(ca.issue_for(&["localhost"], 2020, 2021).source())
        .build()
        .unwrap();
}

#[test]
fn no_key_stands_in_what_is_shown() {
    let issued = Ca::root("root").issue(&["client"]);
    let builder = TlsConfig::builder()
        .roots(Ca::root("root").roots())
        .identity(issued.source());
    let shown = format!("{builder:?} {:?}", builder.build().unwrap());
    let body = issued.key.lines().nth(1).unwrap();
    assert!(!shown.contains(body), "{shown}");
}

#[cfg(feature = "native-roots")]
#[test]
fn the_roots_of_the_system_are_read_or_missed_with_a_sentence() {
    match TlsConfig::builder().build() {
        Ok(_) => {}
        Err(error) => assert!(error.to_string().contains("ca-certificates"), "{error}"),
    }
}

#[cfg(feature = "mozilla-roots")]
#[test]
fn the_roots_of_mozilla_need_no_file() {
    TlsConfig::builder()
        .roots(Roots::mozilla())
        .build()
        .unwrap();
}
