//! Consumers next to servers, with handlers in a task of their own, signals, and the report at the
//! end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

mod gone;
#[cfg(unix)]
mod signals;

use milena_broker::Broker;
use milena_client::consumer::Consumer;
use milena_client::{Client, ConsumerBuilderExt};
use milena_core::{ErrorKind, ProcessError, ProducerRecord, Text};
use tokio::sync::mpsc;

async fn client(broker: &Broker) -> Client {
    let builder = Client::builder().bootstrap(broker.bootstrap());
    builder.connector(broker.dialer()).connect().await.unwrap()
}

/// Starts a broker with one record, and connects a client.
async fn with_a_record() -> (Broker, Client) {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let client = client(&broker).await;
    send(&client, "two stamps").await;
    (broker, client)
}

/// Returns a consumer of the group `billing`.
fn billing(client: &Client) -> Consumer {
    let builder = client.consumer("billing").topics(["orders"]);
    builder.build().unwrap()
}

async fn send(client: &Client, value: &'static str) {
    let producer = client.producer().build().unwrap();
    let record = ProducerRecord::new("orders").value(value);
    producer.send(record).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_spawned_consumer_works_beside_the_program_and_reports_when_it_is_stopped() {
    let (_broker, client) = with_a_record().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let consumer = billing(&client);
    let running = consumer.spawn(move |Text(order): Text| {
        let _ = tell.send(order);
        async {}
    });
    assert_eq!(told.recv().await.as_deref(), Some("two stamps"));
    assert!(!running.is_finished());
    let report = running.stop().await.unwrap();
    assert_eq!(report.processed, 1);
    assert_eq!(report.committed.len(), 1);
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_spawned_consumer_is_told_as_often_as_somebody_asks() {
    let (_broker, client) = with_a_record().await;
    let consumer = billing(&client);
    let mut running = consumer
        .spawn(async |Text(_): Text| Err::<(), _>(ProcessError::fatal("the ledger is gone")));
    let error = (&mut running).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("the ledger is gone"),
        "{error:?}"
    );
    assert!(running.is_finished());
    assert!(running.stop().await.is_err());
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_layered_consumer_can_be_spawned_too() {
    let (_broker, client) = with_a_record().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let consumer = client
        .consumer("billing")
        .topics(["orders"])
        .layer(milena_client::middleware::RecoveryLayer::new())
        .build()
        .unwrap();
    let running = consumer.spawn(move |Text(order): Text| {
        let _ = tell.send(order);
        async {}
    });
    assert_eq!(told.recv().await.as_deref(), Some("two stamps"));
    assert_eq!(running.stop().await.unwrap().processed, 1);
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_handle_shuts_the_consumer_down_in_good_order() {
    let (broker, client) = with_a_record().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let consumer = billing(&client);
    let running = consumer.spawn(move |Text(order): Text| {
        let _ = tell.send(order);
        async {}
    });
    assert!(told.recv().await.is_some());
    let stop = running.shutdown_handle();
    drop(running);
    assert!(stop.is_shutting_down());
    client.close().await;
    let asked = self::client(&broker).await;
    let consumer = billing(&asked);
    let place = milena_core::TopicPartition::new("orders", 0);
    let committed = consumer.committed([place.clone()]).await.unwrap();
    let offset = committed.get(&place).copied().flatten();
    assert_eq!(offset.map(milena_core::Offset::to_wire), Some(1));
    asked.close().await;
}

#[test]
fn without_a_runtime_a_spawned_consumer_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let consumer = runtime.block_on(async {
        let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
        let client = client(&broker).await;
        billing(&client)
    });
    let running = consumer.spawn(async |Text(_): Text| {});
    assert!(running.is_finished());
    let error = runtime.block_on(running).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("runtime"), "{error}");
}
