//! A mistake of the user ends within its deadline, with an error that names it and says what to do.

use std::time::Duration;

use milena::{Client, ErrorCode, ErrorKind, ProducerRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::cluster::{World, unique, within};

/// Returns the error of a connection to `address`, within two seconds.
async fn refusal(address: &str) -> milena::Error {
    let connecting = Client::builder()
        .bootstrap([address])
        .api_timeout(Duration::from_secs(2))
        .connect();
    let error = within(connecting)
        .await
        .expect_err("nobody there speaks Kafka");
    assert!(
        error.to_string().contains(address),
        "the error names the address: {error}"
    );
    error
}

/// A peer that answers any first bytes with `answer` and keeps the connection open.
async fn peer(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1_024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.read(&mut request).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let error = refusal(&free).await;
    assert!(
        matches!(error.kind(), ErrorKind::Transport | ErrorKind::Timeout),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_web_server_is_named_as_such() {
    let error = refusal(&peer(b"HTTP/1.1 400 Bad Request\r\n\r\n").await).await;
    assert!(error.to_string().contains("HTTP"), "{error}");
}

#[tokio::test]
async fn a_tls_port_is_named_as_such() {
    // A TLS alert with the description "unexpected message".
    let error = refusal(&peer(&[0x15, 3, 3, 0, 2, 2, 10]).await).await;
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[tokio::test]
async fn a_port_that_stays_silent_ends_in_a_timeout() {
    let error = refusal(&peer(b"").await).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_by_name() {
    let error = within(
        Client::builder()
            .bootstrap(["http://localhost:9092"])
            .connect(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("bootstrap.servers"), "{error}");
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_named() {
    let world = World::new().await;
    let missing = unique("missing");
    let producer = world
        .client
        .producer()
        .max_block(Duration::from_secs(1))
        .build()
        .unwrap();
    let error = within(producer.send(ProducerRecord::new(missing.as_str()).value("x")))
        .await
        .unwrap_err();
    assert_eq!(
        error.code(),
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        "{error:?}"
    );
    assert!(error.to_string().contains(&missing), "{error}");
}

#[tokio::test]
async fn a_record_over_the_limit_is_refused_with_both_sizes() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    let producer = world
        .client
        .producer()
        .max_request_size(20_000)
        .build()
        .unwrap();
    let error = within(producer.send(ProducerRecord::new(&topic).value(vec![0; 30_000])))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    assert!(
        error.to_string().contains("20000") && error.to_string().contains("30"),
        "{error}"
    );
    within(producer.send(ProducerRecord::new(&topic).value("small")))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_record_over_the_topics_limit_fails_alone() {
    let world = World::new().await;
    let topic = milena::admin::NewTopic::new(unique("small"))
        .partitions(1)
        .config("max.message.bytes", "2000");
    let topic = world.topic_with(topic).await;
    let producer = world.client.producer().build().unwrap();
    let records = [vec![1; 10], vec![2; 5_000], vec![3; 10]];
    let results =
        within(producer.send_all(records.map(|value| ProducerRecord::new(&topic).value(value))))
            .await;
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    let error = results[1].as_ref().unwrap_err();
    assert!(error.to_string().contains(topic.as_str()), "{error}");
    assert_eq!(world.read(&topic, 2).await.len(), 2);
}
