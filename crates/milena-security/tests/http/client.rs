//! The HTTP client against servers on loopback.

use std::time::Duration;

use milena_core::ErrorKind;
use milena_security::http::{HttpClient, HttpClientBuilder, HttpRequest};
use milena_security::tls::{TlsConfig, TlsServerConfig};

use crate::bed::Ca;
use crate::web::{Web, answer, redirect};

/// A client that trusts an authority of its own.
fn settings() -> HttpClientBuilder {
    let tls = TlsConfig::builder()
        .roots(Ca::root("root").roots())
        .build()
        .unwrap();
    HttpClient::builder(tls)
}

/// A client that may ask this machine by http.
pub(crate) fn on_loopback() -> HttpClient {
    settings().allow_http_to_loopback().build()
}

#[tokio::test]
async fn http_to_this_machine_is_a_choice() {
    let web = Web::start(|_| answer(200, "yes")).await;
    let request = HttpRequest::get(web.url("/"));
    let error = settings().build().send(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
    assert!(web.requests().is_empty());
    let answer = on_loopback().send(&request).await.unwrap();
    assert_eq!(
        (answer.status(), answer.body().text().unwrap()),
        (200, "yes")
    );
}

#[tokio::test]
async fn https_checks_the_server_and_names_it() {
    let ca = Ca::root("root");
    let client = |ca: &Ca| {
        let tls = TlsConfig::builder().roots(ca.roots()).build().unwrap();
        HttpClient::builder(tls).build()
    };
    let issued = ca.issue(&["localhost"]);
    let tls = TlsServerConfig::builder(issued.source()).build().unwrap();
    let web = Web::secure(&tls, |_| answer(200, "yes")).await;
    let request = HttpRequest::get(web.url("/path?query=1"));
    assert!(client(&ca).send(&request).await.unwrap().is_success());
    let seen = web.requests().remove(0);
    assert!(seen.starts_with("GET /path?query=1 HTTP/1.1\r\n"), "{seen}");
    assert!(
        seen.contains(&format!("host: localhost:{}\r\n", web.port())),
        "{seen}"
    );
    let error = client(&Ca::root("other")).send(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security);
}

#[tokio::test]
async fn a_redirect_is_followed_on_the_same_host_alone() {
    let web = Web::start(|request| match request.split(' ').nth(1).unwrap() {
        "/old" => redirect("/new"),
        "/new" => answer(200, "here"),
        "/loop" => redirect("/loop"),
        "/file" => redirect("file:///etc/passwd"),
        _ => redirect("http://127.0.0.1:1/elsewhere"),
    })
    .await;
    let get = async |path: &str| on_loopback().send(&HttpRequest::get(web.url(path))).await;
    assert_eq!(get("/old").await.unwrap().body().text().unwrap(), "here");
    for path in ["/loop", "/file", "/away"] {
        let error = get(path).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Security, "{path}: {error}");
    }
    let post = HttpRequest::post(web.url("/old"), "text/plain", "secret");
    let error = on_loopback().send(&post).await.unwrap_err();
    assert!(error.to_string().contains("does not follow"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_never_ends_is_cut_off() {
    let endless = |_: &str| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for _ in 0..600 {
            bytes.extend_from_slice(b"1000\r\n");
            bytes.resize(bytes.len() + 4_096, b'x');
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    };
    let web = Web::start(endless).await;
    let error = on_loopback()
        .send(&HttpRequest::get(web.url("/")))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("1048576"), "{error}");
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_deadline_and_a_broken_one_at_once() {
    let web = Web::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort".to_vec()).await;
    let request = HttpRequest::get(web.url("/"));
    let error = on_loopback().send(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
    // Nobody accepts, so the connection opens and stays silent.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap())
        .parse()
        .unwrap();
    let hasty = settings()
        .allow_http_to_loopback()
        .timeout(Duration::from_millis(50));
    let error = hasty
        .build()
        .send(&HttpRequest::get(url))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}
