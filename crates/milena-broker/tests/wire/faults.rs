//! Faults. Each kind applies to the requests that it names and no others.

use std::time::Duration;

use crate::bed::{Client, batch, fetching, producing, summary, text, topic};
use milena_broker::{ApiKey, Broker, ErrorCode, Fate, Fault};
use milena_protocol::messages::metadata_request::MetadataRequestTopic;
use milena_protocol::messages::*;
use milena_protocol::response;
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

/// Returns the partitions of `orders` in an answer, with their error codes.
type Shown = Vec<(i32, i16)>;

/// Asks every administrative API whose answer has partitions for both partitions of `orders`.
async fn ask_partitions(client: &mut Client) -> Vec<(ApiKey, Shown)> {
    let records = [0, 1].map(|index| {
        let each = delete_records_request::DeleteRecordsPartition::default();
        each.with_partition_index(index).with_offset(-1)
    });
    let records = delete_records_request::DeleteRecordsTopic::default()
        .with_name(topic("orders"))
        .with_partitions(records.to_vec());
    let request = DeleteRecordsRequest::default().with_topics(vec![records]);
    let records = client.call(&request, 2).await;
    let records = records.topics[0].partitions.iter();
    let records = records.map(|each| (each.partition_index, each.error_code));

    let name =
        describe_topic_partitions_request::TopicRequest::default().with_name(topic("orders"));
    let request = DescribeTopicPartitionsRequest::default()
        .with_topics(vec![name])
        .with_response_partition_limit(100);
    let described = client.call(&request, 0).await;
    let described = described.topics[0].partitions.iter();
    let described = described.map(|each| (each.partition_index, each.error_code));

    let elected = elect_leaders_request::TopicPartitions::default()
        .with_topic(topic("orders"))
        .with_partitions(vec![0, 1]);
    let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![elected]));
    let elected = client.call(&request, 2).await;
    let elected = elected.replica_election_results[0].partition_result.iter();
    let elected = elected.map(|each| (each.partition_id, each.error_code));

    let asked = offset_fetch_request::OffsetFetchRequestTopics::default()
        .with_name(topic("orders"))
        .with_partition_indexes(vec![0, 1]);
    let asked = offset_fetch_request::OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text("group")))
        .with_topics(Some(vec![asked]));
    let request = OffsetFetchRequest::default().with_groups(vec![asked]);
    let fetched = client.call(&request, 8).await;
    let fetched = fetched.groups[0].topics[0].partitions.iter();
    let fetched = fetched.map(|each| (each.partition_index, each.error_code));

    let asked = offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_name(topic("orders"))
        .with_partition_indexes(vec![0, 1]);
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text("group")))
        .with_topics(Some(vec![asked]));
    let older = client.call(&request, 7).await;
    let older = older.topics[0].partitions.iter();
    let older = older.map(|each| (each.partition_index, each.error_code));

    let deleted = [0, 1].map(|index| {
        offset_delete_request::OffsetDeleteRequestPartition::default().with_partition_index(index)
    });
    let deleted = offset_delete_request::OffsetDeleteRequestTopic::default()
        .with_name(topic("orders"))
        .with_partitions(deleted.to_vec());
    let request = OffsetDeleteRequest::default()
        .with_group_id(GroupId(text("group")))
        .with_topics(vec![deleted]);
    let deleted = client.call(&request, 0).await;
    let deleted = deleted.topics[0].partitions.iter();
    let deleted = deleted.map(|each| (each.partition_index, each.error_code));
    vec![
        (ApiKey::DeleteRecords, records.collect()),
        (ApiKey::DescribeTopicPartitions, described.collect()),
        (ApiKey::ElectLeaders, elected.collect()),
        (ApiKey::OffsetFetch, fetched.collect()),
        (ApiKey::OffsetFetch, older.collect()),
        (ApiKey::OffsetDelete, deleted.collect()),
    ]
}

/// Starts one broker with a group, which committed an offset of a topic that is not asked for. The
/// group therefore stays when the others are deleted.
async fn with_a_group() -> (Broker, Client) {
    let broker = Broker::builder().topic("orders", 2).topic("other", 1);
    let broker = broker.start().await.unwrap();
    let mut client = Client::to(&broker, 1).await;
    let partition =
        offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(0);
    let topics = offset_commit_request::OffsetCommitRequestTopic::default()
        .with_name(topic("other"))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("group")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topics]);
    client.call(&request, 8).await;
    (broker, client)
}

#[tokio::test(start_paused = true)]
async fn every_answer_with_partitions_can_leave_one_out() {
    let (broker, mut client) = with_a_group().await;
    let whole = ask_partitions(&mut client).await;
    for (api, _) in &whole {
        let fault = Fault::omit_partition()
            .on(*api)
            .topic("orders")
            .partition(0);
        broker.faults().add(fault.always());
    }
    for ((api, before), (_, now)) in whole.iter().zip(ask_partitions(&mut client).await) {
        assert_eq!(before.len(), 2, "{api}");
        assert_eq!(now, before[1..], "{api}");
    }
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn an_error_for_a_partition_spares_the_others_in_every_answer() {
    let (broker, mut client) = with_a_group().await;
    let whole = ask_partitions(&mut client).await;
    for (api, _) in &whole {
        let fault = Fault::error(ErrorCode::KAFKA_STORAGE_ERROR).on(*api);
        let fault = fault.topic("orders").partition(1);
        broker.faults().add(fault.always());
    }
    for ((api, before), (_, now)) in whole.iter().zip(ask_partitions(&mut client).await) {
        assert_eq!(now[0], before[0], "{api}");
        assert_eq!(now[1], (1, 56), "{api}");
    }
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn a_topic_filter_spares_the_other_topics_of_administrative_requests() {
    let (broker, mut client) = start().await;
    for api in [
        ApiKey::CreatePartitions,
        ApiKey::DeleteTopics,
        ApiKey::DescribeConfigs,
    ] {
        let fault = Fault::error(ErrorCode::POLICY_VIOLATION).on(api);
        broker.faults().add(fault.topic("orders"));
    }
    let described = ["orders", "other"].map(|name| {
        describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text(name))
            .with_configuration_keys(None)
    });
    let request = DescribeConfigsRequest::default().with_resources(described.to_vec());
    let described = client.call(&request, 4).await.results;
    let more = ["orders", "other"].map(|name| {
        create_partitions_request::CreatePartitionsTopic::default()
            .with_name(topic(name))
            .with_count(9)
    });
    let request = CreatePartitionsRequest::default().with_topics(more.to_vec());
    let more = client.call(&request, 3).await.results;
    let names = ["orders", "other"].map(topic);
    let request = DeleteTopicsRequest::default().with_topic_names(names.to_vec());
    let gone = client.call(&request, 5).await.responses;
    assert_eq!([described[0].error_code, described[1].error_code], [44, 0]);
    assert_eq!([more[0].error_code, more[1].error_code], [44, 0]);
    assert_eq!([gone[0].error_code, gone[1].error_code], [44, 0]);
    assert_eq!(broker.inspect().topics(), ["orders"]);
    broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_refused_for_an_api_that_would_ignore_it() {
    let (broker, _client) = start().await;
    let faults = broker.faults();
    for (fault, named, served) in [
        (Fault::omit_partition(), "every API", "OffsetDelete"),
        (
            Fault::omit_partition().on(ApiKey::Heartbeat),
            "Heartbeat",
            "DeleteRecords",
        ),
        (
            Fault::diverging(0, 5).on(ApiKey::ListOffsets),
            "ListOffsets",
            "served by Fetch;",
        ),
        (
            Fault::stale_metadata().on(ApiKey::DescribeCluster),
            "DescribeCluster",
            "served by Metadata;",
        ),
        (
            Fault::hide_topic("orders").on(ApiKey::Produce),
            "Produce",
            "served by Metadata;",
        ),
    ] {
        let told = panic_of(|| drop(faults.add(fault)));
        assert!(told.contains(named), "{told}");
        assert!(told.contains(served), "{told}");
    }
    faults.add(Fault::diverging(0, 5));
    faults.add(Fault::diverging(0, 5).on(ApiKey::Fetch));
}
