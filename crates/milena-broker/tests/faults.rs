//! Faults. Each kind applies to the requests that it names and no others.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::time::Duration;

use milena_broker::{ApiKey, Broker, ErrorCode, Fate, Fault};
use milena_protocol::messages::metadata_request::MetadataRequestTopic;
use milena_protocol::messages::{HeartbeatRequest, MetadataRequest, MetadataResponse};
use milena_protocol::response;
use support::{Client, batch, fetching, producing, summary, topic};
use tokio::time::Instant;

async fn start() -> (Broker, Client) {
    let broker = Broker::builder()
        .brokers(2)
        .topic("orders", 2)
        .topic("other", 1)
        .start()
        .await
        .unwrap();
    for (name, partition) in [("orders", 0), ("orders", 1), ("other", 0)] {
        broker.inspect().move_leader(name, partition, 1);
    }
    let client = Client::to(&broker, 1).await;
    (broker, client)
}

async fn metadata(client: &mut Client, names: &[&str]) -> MetadataResponse {
    let topics = names
        .iter()
        .map(|name| MetadataRequestTopic::default().with_name(Some(topic(name))));
    client
        .call(
            &MetadataRequest::default().with_topics(Some(topics.collect())),
            9,
        )
        .await
}

#[tokio::test(start_paused = true)]
async fn an_error_fires_for_its_topic_as_often_as_told_and_nothing_is_written() {
    let (broker, mut client) = start().await;
    let fault = broker.faults().add(
        Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER)
            .on(ApiKey::Produce)
            .topic("orders")
            .times(2),
    );
    assert_eq!(
        client.produce("other", 0, batch(1, None)).await.error_code,
        0
    );
    for expected in [6, 6, 0] {
        assert_eq!(
            client.produce("orders", 0, batch(1, None)).await.error_code,
            expected
        );
    }
    assert_eq!(fault.fired(), 2);
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(1));
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn a_partition_filter_spares_the_other_partitions_of_the_request() {
    let (broker, mut client) = start().await;
    broker.faults().add(
        Fault::error(ErrorCode::KAFKA_STORAGE_ERROR)
            .on(ApiKey::Fetch)
            .partition(1)
            .nth(2),
    );
    let request = fetching("orders", &[(0, 0), (1, 0)]);
    assert_eq!(
        summary(&client.call(&request, 11).await),
        [(0, 0, 0), (1, 0, 0)]
    );
    assert_eq!(
        summary(&client.call(&request, 11).await),
        [(0, 0, 0), (1, 56, 0)]
    );
    broker
        .faults()
        .add(Fault::omit_partition().on(ApiKey::Fetch).partition(0));
    assert_eq!(summary(&client.call(&request, 11).await), [(1, 0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_append_leaves_the_records_written() {
    let (broker, mut client) = start().await;
    broker
        .faults()
        .add(Fault::apply_then_error(ErrorCode::REQUEST_TIMED_OUT).on(ApiKey::Produce));
    assert_eq!(
        client.produce("orders", 0, batch(3, None)).await.error_code,
        7
    );
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(3));
}

/// Returns the message with which `act` panics.
fn panic_of(act: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_work_is_refused_for_an_api_that_would_ignore_it() {
    let (broker, mut client) = start().await;
    let faults = broker.faults();
    let fault = || Fault::apply_then_error(ErrorCode::REQUEST_TIMED_OUT);
    for (fault, named) in [
        (fault().on(ApiKey::Fetch), "Fetch"),
        (
            fault().on(ApiKey::Produce).on(ApiKey::Heartbeat),
            "Heartbeat",
        ),
        (fault(), "every API"),
    ] {
        let told = panic_of(|| drop(faults.add(fault.clone())));
        assert!(told.contains(named), "{told}");
        assert!(told.contains("Produce, OffsetCommit"), "{told}");
        let told = panic_of(|| drop(faults.guard(fault)));
        assert!(told.contains(named), "{told}");
    }
    assert_eq!(
        client.produce("orders", 0, batch(1, None)).await.error_code,
        0,
        "a refused fault is not added"
    );
    faults.add(fault().on(ApiKey::Produce).on(ApiKey::OffsetCommit));
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_comes_before_or_after_the_append() {
    let (broker, mut client) = start().await;
    broker.faults().add(Fault::disconnect().on(ApiKey::Produce));
    assert!(
        client
            .try_call(&producing("orders", 0, batch(1, None)), 9)
            .await
            .is_none()
    );
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(0));
    broker.faults().add(
        Fault::apply_then_disconnect()
            .on(ApiKey::Produce)
            .named("lost answer"),
    );
    let mut client = Client::to(&broker, 1).await;
    assert!(
        client
            .try_call(&producing("orders", 0, batch(1, None)), 9)
            .await
            .is_none()
    );
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(1));
    let last = broker.journal().requests(ApiKey::Produce).pop().unwrap();
    let outcome = last.outcome().unwrap();
    assert_eq!(
        (outcome.fate, outcome.faults.as_slice()),
        (Fate::Disconnected, &["lost answer".to_owned()][..])
    );
}

#[tokio::test(start_paused = true)]
async fn silence_holds_the_whole_connection() {
    let (broker, mut client) = start().await;
    let fault = broker.faults().add(Fault::silence().on(ApiKey::Heartbeat));
    client.send(&HeartbeatRequest::default(), 3).await;
    client.send(&fetching("orders", &[(0, 0)]), 11).await;
    fault.wait_fired(1).await;
    let answer = tokio::time::timeout(Duration::from_secs(3600), client.frame()).await;
    assert!(
        answer.is_err(),
        "nothing behind the silent request is answered"
    );
    assert_eq!(broker.journal().requests(ApiKey::Fetch).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn delays_come_before_or_after_the_work() {
    let (broker, mut client) = start().await;
    broker
        .faults()
        .add(Fault::delay(Duration::from_secs(2)).on(ApiKey::Produce));
    let began = Instant::now();
    client
        .send(&producing("orders", 0, batch(1, None)), 9)
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(0));
    client.frame().await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    broker
        .faults()
        .add(Fault::delay_answer(Duration::from_secs(2)).on(ApiKey::Produce));
    client
        .send(&producing("orders", 0, batch(1, None)), 9)
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(2));
    client.frame().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn raw_bytes_cut_answers_and_wrong_ids_reach_the_client() {
    let (broker, mut client) = start().await;
    broker
        .faults()
        .add(Fault::raw(&b"HTTP/1.1 400"[..]).on(ApiKey::Metadata));
    client.send(&MetadataRequest::default(), 9).await;
    assert_eq!(client.read(12).await, b"HTTP/1.1 400");
    broker
        .faults()
        .add(Fault::wrong_correlation_id().on(ApiKey::Metadata));
    let id = client.send(&MetadataRequest::default(), 9).await;
    assert_ne!(
        response::correlation_id(&client.frame().await.unwrap()).unwrap(),
        id
    );
    broker.faults().add(Fault::truncate(9).on(ApiKey::Metadata));
    client.send(&MetadataRequest::default(), 9).await;
    assert_eq!(client.rest().await.len(), 9);
}

#[tokio::test(start_paused = true)]
async fn stale_metadata_shows_the_old_leader_and_a_hidden_topic_is_unknown() {
    let (broker, mut client) = start().await;
    broker.faults().add(Fault::stale_metadata().node(1));
    broker.inspect().move_leader("orders", 0, 2);
    let leader = |answer: &MetadataResponse| answer.topics[0].partitions[0].leader_id.0;
    assert_eq!(leader(&metadata(&mut client, &["orders"]).await), 1);
    assert_eq!(leader(&metadata(&mut client, &["orders"]).await), 2);
    broker.faults().add(Fault::hide_topic("orders"));
    let answer = metadata(&mut client, &["orders", "other"]).await;
    assert_eq!(
        (answer.topics[0].error_code, answer.topics[1].error_code),
        (3, 0)
    );
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn a_throttle_is_told_and_a_move_happens_first() {
    let (broker, mut client) = start().await;
    broker
        .faults()
        .add(Fault::throttle(Duration::from_millis(250)).on(ApiKey::Produce));
    broker
        .faults()
        .add(Fault::move_leader("orders", 0, 2).on(ApiKey::Produce));
    let answer = client
        .call(&producing("orders", 0, batch(1, None)), 9)
        .await;
    assert_eq!(answer.throttle_time_ms, 250);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 6);
    assert_eq!(broker.inspect().leader("orders", 0).unwrap().0, 2);
}

#[tokio::test(start_paused = true)]
async fn the_journal_tells_of_a_request_whose_bytes_do_not_decode() {
    let (broker, mut client) = start().await;
    // An ApiVersions request of version 3 with a header, and a body that ends within a string.
    let frame = [
        &12i32.to_be_bytes()[..],
        &[0, 18, 0, 3, 0, 0, 0, 9, 255, 255, 0, 9],
    ]
    .concat();
    client.raw(&frame).await;
    assert_eq!(client.frame().await, None);
    let entries = broker.journal().requests(ApiKey::ApiVersions);
    let unread: Vec<_> = entries
        .iter()
        .filter(|entry| entry.message().is_none())
        .collect();
    assert_eq!(unread.len(), 1);
    assert_eq!(unread[0].outcome().unwrap().fate, Fate::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn a_client_filter_spares_other_clients() {
    let (broker, mut client) = start().await;
    let fault = broker
        .faults()
        .add(Fault::disconnect().client_id("somebody else").always());
    assert_eq!(
        client.produce("orders", 0, batch(1, None)).await.error_code,
        0
    );
    assert_eq!(fault.fired(), 0);
    fault.remove();
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a fault did not fire")]
async fn a_guarded_fault_that_never_fires_fails_its_test() {
    let (broker, _client) = start().await;
    let _guard = broker
        .faults()
        .guard(Fault::silence().on(ApiKey::Heartbeat));
}

#[tokio::test(start_paused = true)]
async fn the_journal_can_be_awaited_and_keeps_batch_headers() {
    let (broker, mut client) = start().await;
    let journal = broker.journal().clone();
    let waits = tokio::spawn(async move {
        let produced = |entry: &milena_broker::Entry| {
            entry.api() == ApiKey::Produce && entry.outcome().is_some()
        };
        journal.wait_for(produced).await
    });
    client.produce("orders", 1, batch(4, Some((5, 0, 0)))).await;
    let entry = waits.await.unwrap();
    let (place, header) = entry.batches().remove(0);
    assert_eq!((place.partition.to_wire(), header.count), (1, 4));
    assert_eq!(header.producer_id.unwrap().to_wire(), 5);
    assert_eq!((entry.node(), entry.client_id()), (1, Some("test")));
    assert!(entry.is_about("orders") && !entry.is_about("other"));
}
