//! The page over a socket, with well-behaved and hostile clients.

use std::net::SocketAddr;
use std::time::Duration;

use milena_core::ErrorKind;
use milena_health::{Health, HttpServer, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(20);

async fn within<F: Future>(future: F) -> F::Output {
    timeout(DEADLINE, future).await.expect("in time")
}

fn any() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn send(server: &HttpServer, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    // The server may answer and close before the whole request was sent.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = within(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(server: &HttpServer, path: &str) -> String {
    send(server, &format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await
}

fn status(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1);
    status.and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn each_path_answers_by_its_status_and_says_why() {
    let health = Health::new();
    health.check("warehouse", || (State::Degraded, "open on weekdays".into()));
    let http = health.http().listen(any());
    let http = http.metrics(|| "orders_total 7\n".to_owned());
    let server = http.serve().await.unwrap();
    assert!(server.address().ip().is_loopback());

    let whole = get(&server, "/health").await;
    assert_eq!(status(&whole), 503, "no broker has answered: {whole}");
    assert!(whole.contains("content-type: application/json"), "{whole}");
    let body = whole.split("\r\n\r\n").nth(1).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["state"], "failing");
    assert_eq!(body["phase"], "starting");
    let check = &body["checks"][1];
    assert_eq!(check["name"], "warehouse");
    assert_eq!(check["reason"], "open on weekdays");
    assert!(check["since"].as_str().unwrap().ends_with('Z'));

    for (path, expected) in [
        ("/health/live", 200),
        ("/health/ready", 503),
        ("/health/startup", 503),
        ("/metrics", 200),
        ("/", 404),
    ] {
        let answer = get(&server, path).await;
        assert_eq!(status(&answer), expected, "{path}: {answer}");
    }
    assert!(
        get(&server, "/health/ready")
            .await
            .contains("no broker has answered yet")
    );
    assert!(get(&server, "/metrics").await.ends_with("orders_total 7\n"));
    let posted = send(&server, "POST /health HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&posted), 405);
    within(server.shutdown()).await;
}

#[tokio::test]
async fn during_a_shutdown_it_still_answers_alive_and_not_ready() {
    let health = Health::new();
    let server = health.http().listen(any()).serve().await.unwrap();
    health.shut_down();
    assert_eq!(status(&get(&server, "/health/live").await), 200);
    let ready = get(&server, "/health/ready").await;
    assert_eq!(status(&ready), 503);
    assert!(ready.contains("it is shutting down"), "{ready}");
    assert!(get(&server, "/health").await.contains("\"stopping\""));
    let address = server.address();
    within(server.shutdown()).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_wrong_token_or_none_gets_nothing_and_the_right_one_all() {
    let health = Health::new();
    let http = health.http().listen(any()).token("s3cret");
    let server = http.metrics(String::new).serve().await.unwrap();
    for path in ["/health", "/health/live", "/metrics", "/nothing"] {
        let none = get(&server, path).await;
        assert_eq!(status(&none), 401, "{path}");
        assert!(none.to_lowercase().contains("www-authenticate: bearer"));
    }
    let with = async |token: &str| {
        let head =
            format!("GET /health/live HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\n\r\n");
        status(&send(&server, &head).await)
    };
    assert_eq!(with("Bearer s3cre").await, 401);
    assert_eq!(with("Bearer s3cret7").await, 401);
    assert_eq!(with("Basic s3cret").await, 401);
    assert_eq!(with("Bearer s3cret").await, 200);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let health = Health::new();
    let first = health.http().listen(any()).serve().await.unwrap();
    let second = health.http().listen(first.address()).serve().await;
    let error = second.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains("in use"), "{text}");
    assert!(text.contains(&first.address().to_string()), "{text}");
}

#[tokio::test]
async fn requests_that_are_too_large_are_refused_unread() {
    let health = Health::new();
    let server = health.http().listen(any()).serve().await.unwrap();
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100_000));
    assert!([0, 414, 431].contains(&status(&send(&server, &long).await)));
    let wide = format!(
        "GET /health HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(100_000)
    );
    assert!([0, 431].contains(&status(&send(&server, &wide).await)));
    let many = "X: a\r\n".repeat(1_000);
    let many = format!("GET /health HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    assert!([0, 431].contains(&status(&send(&server, &many).await)));
    let body = "POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    assert_eq!(status(&send(&server, body).await), 413);
    let chunked = "GET /health/live HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(status(&send(&server, chunked).await), 413);
    assert_eq!(status(&send(&server, "\0\u{1}\u{2}\r\n\r\n").await), 400);
    assert_eq!(
        status(&get(&server, "/health/live").await),
        200,
        "and goes on"
    );
}

#[tokio::test]
async fn slow_requests_are_ended_and_others_are_served_then() {
    let health = Health::new();
    let http = health.http().listen(any()).max_connections(2);
    let http = http.request_timeout(Duration::from_millis(200));
    let server = http.serve().await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..6 {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream
            .write_all(b"GET /health HTTP/1.1\r\nX: ")
            .await
            .unwrap();
        slow.push(stream);
    }
    // The next connections are served once the slow ones were closed.
    let answer = within(get(&server, "/health/live")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    for mut stream in slow {
        let mut rest = Vec::new();
        // Any answer is fine, as long as the server closes the connection.
        let _ = within(stream.read_to_end(&mut rest)).await;
    }
    within(server.shutdown()).await;
}

#[tokio::test]
async fn the_page_can_be_mounted_into_another_program() {
    let health = Health::new();
    let own = axum::Router::new().route("/", axum::routing::get(async || "shop"));
    let whole = own.nest("/ops", health.http().router());
    let listener = tokio::net::TcpListener::bind(any()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, whole).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET /ops/health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert_eq!(status(&answer), 200, "{answer}");
    serving.abort();
}

#[tokio::test]
async fn idle_connections_keep_no_probe_from_its_answer() {
    let health = Health::new();
    let server = health.http().listen(any()).serve().await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..300 {
        idle.push(TcpStream::connect(server.address()).await.unwrap());
    }
    // Without the limit, the timeout of requests would close idle connections after 5 s, 64 at a
    // time.
    let answer = timeout(Duration::from_secs(4), get(&server, "/health/live"));
    assert_eq!(status(&answer.await.unwrap()), 200);
    within(server.shutdown()).await;
}

#[tokio::test]
async fn a_page_of_metrics_that_panics_is_an_error_and_takes_nothing_with_it() {
    let health = Health::new();
    let http = health.http().listen(any()).metrics(|| panic!("out of ink"));
    let server = http.serve().await.unwrap();
    let answer = get(&server, "/metrics").await;
    assert_eq!(status(&answer), 500, "{answer}");
    assert!(answer.contains("out of ink"), "{answer}");
    assert_eq!(status(&get(&server, "/health/live").await), 200);
    within(server.shutdown()).await;
}
