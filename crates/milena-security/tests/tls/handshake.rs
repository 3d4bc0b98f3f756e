//! Handshakes that succeed, and the sentence for each one that fails.

use std::io;
use std::time::Duration;

use milena_core::{Error, ErrorKind, Timestamp, WallClock};
use milena_security::tls::{
    ClientCertificates, HandshakeFailure, PemSource, Roots, TlsBuilder, TlsConfig,
    TlsServerBuilder, TlsServerConfig,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::TlsAcceptor;

use crate::bed::Ca;

/// The facts of a handshake, as the server saw it.
struct Met {
    name: Option<String>,
    certificates: usize,
}

/// Serves one connection. Echoes four bytes and closes without close_notify.
async fn serve(server: TlsServerConfig, stream: DuplexStream) -> io::Result<Met> {
    let mut stream = TlsAcceptor::from(server.server_config())
        .accept(stream)
        .await?;
    let (_, session) = stream.get_ref();
    let met = Met {
        name: session.server_name().map(str::to_owned),
        certificates: session.peer_certificates().map_or(0, <[_]>::len),
    };
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await?;
    Ok(met)
}

/// Connects as `host`, and exchanges four bytes.
async fn meet(client: &TlsBuilder, server: &TlsServerBuilder, host: &str) -> Result<Met, Error> {
    let (near, far) = duplex(64 << 10);
    let serving = tokio::spawn(serve(server.build().unwrap(), far));
    let mut stream = client.build().unwrap().connect(host, near).await?;
    let mut exchange = async || {
        stream.write_all(b"ping").await?;
        stream.flush().await?;
        let mut bytes = [0; 4];
        stream.read_exact(&mut bytes).await?;
        assert_eq!(&bytes, b"ping");
        io::Result::Ok(())
    };
    exchange()
        .await
        .map_err(|error| HandshakeFailure::error(host, error))?;
    Ok(serving.await.unwrap().unwrap())
}

async fn refused(client: &TlsBuilder, server: &TlsServerBuilder, host: &str) -> String {
    let error = meet(client, server, host).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    error.to_string()
}

fn trusting(ca: &Ca) -> TlsBuilder {
    TlsConfig::builder().roots(ca.roots())
}

fn server(ca: &Ca) -> TlsServerBuilder {
    TlsServerConfig::builder(ca.issue(&["localhost", "127.0.0.1", "::1"]).source())
}

#[tokio::test]
async fn the_server_sees_the_name_without_its_dot_and_no_name_for_addresses() {
    let ca = Ca::root("root");
    for (host, name) in [
        ("localhost", Some("localhost")),
        ("localhost.", Some("localhost")),
        ("127.0.0.1", None),
        ("::1", None),
        ("[::1]", None),
        ("::1%lo", None),
    ] {
        let met = meet(&trusting(&ca), &server(&ca), host).await.unwrap();
        assert_eq!(met.name.as_deref(), name, "{host}");
    }
    assert!(
        trusting(&ca)
            .build()
            .unwrap()
            .server_name("not a name")
            .is_err()
    );
}

#[tokio::test]
async fn tls_1_2_is_spoken_too() {
    let ca = Ca::root("root");
    meet(&trusting(&ca), &server(&ca).only_tls12(), "localhost")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_unless_any_name_is_accepted() {
    let ca = Ca::root("root");
    let server = TlsServerConfig::builder(ca.issue(&["other.example.com"]).source());
    let text = refused(&trusting(&ca), &server, "localhost").await;
    assert!(text.contains("localhost is for other names"), "{text}");
    let any = trusting(&ca).dangerously_accept_any_name();
    meet(&any, &server, "localhost").await.unwrap();
    let text = refused(
        &TlsConfig::builder()
            .roots(Ca::root("b").roots())
            .dangerously_accept_any_name(),
        &server,
        "localhost",
    )
    .await;
    assert!(text.contains("no trusted authority"), "{text}");
}

#[tokio::test]
async fn an_unknown_authority_is_named_as_such() {
    let ca = Ca::root("root");
    let text = refused(&trusting(&Ca::root("other")), &server(&ca), "localhost").await;
    assert!(
        text.contains("no trusted authority issued") && text.contains("ssl.ca.location"),
        "{text}"
    );
}

#[tokio::test]
async fn every_certificate_of_a_file_of_roots_counts() {
    let (first, second) = (Ca::root("first"), Ca::root("second"));
    let both = format!("{}\n# a comment\n{}", first.pem(), second.pem());
    let client = TlsConfig::builder().roots(Roots::pem(PemSource::text(both)));
    meet(&client, &server(&second), "localhost").await.unwrap();
    let added = trusting(&first).roots(first.roots().and(second.roots()));
    meet(&added, &server(&second), "localhost").await.unwrap();
}

#[tokio::test]
async fn dates_are_judged_by_the_given_clock() {
    let ca = Ca::root("root");
    let server = TlsServerConfig::builder(ca.issue_for(&["localhost"], 2030, 2031).source());
    // 2029, 2030 and 2032, each in June.
    for (seconds, wanted) in [
        (1_875_000_000, Some("not valid yet (2030-01-01T00:00:00Z)")),
        (1_907_000_000, None),
        (1_970_000_000, Some("expired (2031-01-01T00:00:00Z)")),
    ] {
        let clock = WallClock::new(move || Timestamp::from_millis(seconds * 1_000));
        let met = meet(&trusting(&ca).clock(clock), &server, "localhost").await;
        match (met, wanted) {
            (Ok(_), None) => {}
            (Err(error), Some(wanted)) => assert!(error.to_string().contains(wanted), "{error}"),
            (met, _) => panic!("{seconds}: {:?}", met.err()),
        }
    }
}

#[tokio::test]
async fn the_whole_chain_of_the_client_is_sent() {
    let root = Ca::root("root");
    let between = root.below("between");
    let required = || ClientCertificates::Required(root.roots());
    let issued = between.issue(&["client"]);
    let client = trusting(&root).identity(issued.source());
    let met = meet(&client, &server(&root).clients(required()), "localhost")
        .await
        .unwrap();
    assert_eq!(met.certificates, 2);
    let wanted = ClientCertificates::Requested(root.roots());
    let met = meet(
        &trusting(&root),
        &server(&root).clients(wanted),
        "localhost",
    )
    .await
    .unwrap();
    assert_eq!(met.certificates, 0);
}

#[tokio::test]
async fn a_refused_client_certificate_is_reported_with_its_alert() {
    let ca = Ca::root("root");
    let required = || server(&ca).clients(ClientCertificates::Required(ca.roots()));
    for server in [required(), required().only_tls12()] {
        let text = refused(&trusting(&ca), &server, "localhost").await;
        assert!(
            text.contains("refused the certificate of this client (alert"),
            "{text}"
        );
        let foreign = trusting(&ca).identity(Ca::root("other").issue(&["client"]).source());
        let text = refused(&foreign, &server, "localhost").await;
        assert!(
            text.contains("refused the certificate of this client (alert"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused() {
    let ca = Ca::root("root");
    let listed = |all| trusting(&ca).add_revocation_list(ca.revocation_list(all));
    meet(&listed(false), &server(&ca), "localhost")
        .await
        .unwrap();
    let text = refused(&listed(true), &server(&ca), "localhost").await;
    assert!(text.contains("revoked"), "{text}");
    // The list of another authority says nothing about this certificate.
    let other = trusting(&ca).add_revocation_list(Ca::root("other").revocation_list(false));
    let text = refused(&other, &server(&ca), "localhost").await;
    assert!(text.contains("no fresh revocation list"), "{text}");
}

/// Connects to a peer that sends `answer` and closes.
async fn plain(answer: &'static [u8]) -> Error {
    let (near, mut far) = duplex(64 << 10);
    let peer = tokio::spawn(async move {
        let mut hello = [0; 5];
        far.read_exact(&mut hello).await.unwrap();
        far.write_all(answer).await.unwrap();
    });
    let client = trusting(&Ca::root("root")).build().unwrap();
    let connected = tokio::time::timeout(Duration::from_secs(9), client.connect("localhost", near));
    let error = connected.await.unwrap().err().unwrap();
    peer.await.unwrap();
    error
}

#[tokio::test]
async fn a_port_without_tls_is_named_as_such() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\0\0\0\x0a\0\0\0\x01\0\x23\0\0\0\0",
    ] {
        let error = plain(answer).await;
        assert_eq!(error.kind(), ErrorKind::Security, "{error}");
        assert!(error.to_string().contains("does not speak TLS"), "{error}");
    }
    let closed = plain(b"").await;
    assert!(closed.is_retriable(), "{closed}");
    assert!(closed.to_string().contains("speaks TLS"), "{closed}");
    // An alert about the version, as a peer of TLS 1.0 sends it.
    let old = plain(&[21, 3, 1, 0, 2, 2, 70]).await;
    assert!(
        old.to_string()
            .contains("no TLS version or cipher in common"),
        "{old}"
    );
}

#[tokio::test]
async fn names_of_failures_for_metrics_are_words() {
    let error = io::Error::other("x");
    assert_eq!(HandshakeFailure::of(&error), None);
    let closed = HandshakeFailure::of(&io::ErrorKind::UnexpectedEof.into()).unwrap();
    assert_eq!(closed.label(), "closed_by_peer");
}
