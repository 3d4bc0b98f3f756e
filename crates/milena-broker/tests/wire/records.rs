//! Producing and fetching, with order, duplicates, leaders, limits, long polls and sessions.

use std::time::Duration;

use crate::bed::{
    Client, batch, batch_at, brokers, code, eventually, fetching, producing, summary, topic,
};
use milena_broker::{Broker, ErrorCode, Fate};
use milena_core::Timestamp;
use milena_protocol::ApiKey;
use milena_protocol::messages::fetch_request::ForgottenTopic;
use milena_protocol::messages::{
    BrokerId, DeleteRecordsRequest, ListOffsetsRequest, MetadataRequest, delete_records_request,
    list_offsets_request, metadata_request,
};
use tokio::time::Instant;

async fn one_topic() -> (Broker, Client) {
    let broker = Broker::builder().topic("orders", 3).start().await.unwrap();
    let client = Client::to(&broker, 1).await;
    (broker, client)
}

#[tokio::test(start_paused = true)]
async fn what_was_produced_is_fetched_with_its_offsets() {
    let (broker, mut client) = one_topic().await;
    for (count, offset) in [(3, 0), (2, 3)] {
        let produced = client.produce("orders", 0, batch(count, None)).await;
        assert_eq!(produced.base_offset, offset);
    }
    let fetched = client.fetch("orders", 0, 3).await;
    assert_eq!((fetched.high_watermark, fetched.error_code), (5, 0));
    let mut batches = milena_protocol::batch::Batches::new(fetched.records.unwrap());
    let only = batches.next().unwrap().unwrap();
    only.verify_crc().unwrap();
    assert_eq!((only.base_offset().to_wire(), only.count()), (3, 2));
    assert!(batches.next().is_none());
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(5));
    assert_eq!(broker.inspect().records("orders", 0).unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_resent_batch_is_answered_with_its_offset_and_stored_once() {
    let (broker, mut client) = one_topic().await;
    for first in [0, 2] {
        assert_eq!(
            client
                .produce("orders", 1, batch(2, Some((9, 0, first))))
                .await
                .error_code,
            0
        );
    }
    let again = client.produce("orders", 1, batch(2, Some((9, 0, 0)))).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    let gap = client.produce("orders", 1, batch(2, Some((9, 0, 6)))).await;
    assert_eq!(
        code(gap.error_code),
        Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
    );
    client.produce("orders", 1, batch(1, Some((9, 1, 0)))).await;
    let fenced = client.produce("orders", 1, batch(1, Some((9, 0, 4)))).await;
    assert_eq!(
        code(fenced.error_code),
        Some(ErrorCode::INVALID_PRODUCER_EPOCH)
    );
    assert_eq!(broker.inspect().end_offset("orders", 1), Some(5));
    assert_eq!(broker.inspect().producers("orders", 1), [(9, 1, Some(0))]);
}

#[tokio::test(start_paused = true)]
async fn only_the_leader_serves_a_partition_and_names_the_new_one() {
    let broker = brokers(3, "orders", 1).await;
    let (leader, _) = broker.inspect().leader("orders", 0).unwrap();
    let other = leader % 3 + 1;
    let mut client = Client::to(&broker, other).await;
    let answer = client
        .call(&producing("orders", 0, batch(1, None)), 10)
        .await;
    let told = &answer.responses[0].partition_responses[0];
    assert_eq!(
        code(told.error_code),
        Some(ErrorCode::NOT_LEADER_OR_FOLLOWER)
    );
    assert_eq!(
        (
            told.current_leader.leader_id.0,
            answer.node_endpoints[0].node_id.0
        ),
        (leader, leader)
    );
    let fetched = client.call(&fetching("orders", &[(0, 0)]), 12).await;
    assert_eq!(
        fetched.responses[0].partitions[0]
            .current_leader
            .leader_id
            .0,
        leader
    );
    broker.inspect().move_leader("orders", 0, other);
    assert_eq!(
        client.produce("orders", 0, batch(1, None)).await.error_code,
        0
    );
    assert_eq!(broker.inspect().leader("orders", 0), Some((other, 1)));
}

#[tokio::test(start_paused = true)]
async fn an_older_or_newer_leader_epoch_is_refused() {
    let (broker, mut client) = one_topic().await;
    broker.inspect().move_leader("orders", 0, 1);
    for (epoch, expected) in [
        (0, Some(ErrorCode::FENCED_LEADER_EPOCH)),
        (1, None),
        (2, Some(ErrorCode::UNKNOWN_LEADER_EPOCH)),
    ] {
        let mut request = fetching("orders", &[(0, 0)]);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        assert_eq!(
            code(summary(&client.call(&request, 11).await)[0].1),
            expected
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_made_anew_has_another_id() {
    let (broker, mut client) = one_topic().await;
    let mut request = fetching("", &[(0, 0)]);
    let metadata = client.metadata().await;
    request.topics[0].topic_id = metadata.topics[0].topic_id;
    assert_eq!(summary(&client.call(&request, 13).await)[0].1, 0);
    broker.inspect().delete_topic("orders");
    broker.inspect().create_topic("orders", 1).unwrap();
    assert_eq!(
        code(summary(&client.call(&request, 13).await)[0].1),
        Some(ErrorCode::UNKNOWN_TOPIC_ID)
    );
    let by_id = metadata_request::MetadataRequestTopic::default()
        .with_topic_id(request.topics[0].topic_id)
        .with_name(None);
    let metadata = client
        .call(
            &MetadataRequest::default().with_topics(Some(vec![by_id])),
            12,
        )
        .await;
    assert_eq!(
        code(metadata.topics[0].error_code),
        Some(ErrorCode::UNKNOWN_TOPIC_ID)
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_over_the_topic_s_limit_is_too_large() {
    let broker = Broker::builder()
        .topic_with("small", 1, [("max.message.bytes", "100")])
        .start()
        .await
        .unwrap();
    let mut client = Client::to(&broker, 1).await;
    assert_eq!(
        client.produce("small", 0, batch(1, None)).await.error_code,
        0
    );
    let refused = client.produce("small", 0, batch(9, None)).await;
    assert_eq!(code(refused.error_code), Some(ErrorCode::MESSAGE_TOO_LARGE));
}

#[tokio::test(start_paused = true)]
async fn the_broker_sets_the_time_where_the_topic_asks_for_that() {
    let broker = Broker::builder()
        .topic_with("stamped", 1, [("message.timestamp.type", "LogAppendTime")])
        .clock(|| Timestamp::from_millis(77))
        .start()
        .await
        .unwrap();
    let mut client = Client::to(&broker, 1).await;
    assert_eq!(
        client
            .produce("stamped", 0, batch(2, None))
            .await
            .log_append_time_ms,
        77
    );
    let records = broker.inspect().records("stamped", 0).unwrap();
    assert!(
        records
            .iter()
            .all(|record| record.timestamp == Some(Timestamp::from_millis(77)))
    );
    let fetched = client.fetch("stamped", 0, 0).await.records.unwrap();
    milena_protocol::batch::Batches::new(fetched)
        .next()
        .unwrap()
        .unwrap()
        .verify_crc()
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_acks_there_is_no_answer_and_an_error_closes_the_connection() {
    let (broker, mut client) = one_topic().await;
    client
        .send(&producing("orders", 0, batch(1, None)).with_acks(0), 9)
        .await;
    let next = client.fetch("orders", 0, 0).await;
    assert_eq!(next.high_watermark, 1);
    client
        .send(&producing("unknown", 0, batch(1, None)).with_acks(0), 9)
        .await;
    assert!(client.frame().await.is_none());
    let fates: Vec<Fate> = broker
        .journal()
        .requests(ApiKey::Produce)
        .iter()
        .map(|entry| entry.outcome().unwrap().fate)
        .collect();
    assert_eq!(fates, [Fate::NoneWanted, Fate::Disconnected]);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_for_records_but_no_longer_than_told() {
    let (broker, mut client) = one_topic().await;
    let began = Instant::now();
    let request = fetching("orders", &[(0, 0), (1, 0)])
        .with_min_bytes(1)
        .with_max_wait_ms(500);
    assert_eq!(
        summary(&client.call(&request, 11).await),
        [(0, 0, 0), (1, 0, 0)]
    );
    assert_eq!(began.elapsed(), Duration::from_millis(500));
    let mut writer = Client::to(&broker, 1).await;
    let began = Instant::now();
    let sent = client.send(&request.with_max_wait_ms(60_000), 11).await;
    eventually("the fetch waits", || {
        broker.journal().requests(ApiKey::Fetch).len() == 2
    })
    .await;
    writer.produce("orders", 1, batch(1, None)).await;
    let frame = client.frame().await.unwrap();
    assert_eq!(
        milena_protocol::response::correlation_id(&frame).unwrap(),
        sent
    );
    assert!(began.elapsed() < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn the_first_batch_is_whole_whatever_the_limits_and_the_rest_is_cut() {
    let (_broker, mut client) = one_topic().await;
    let size = batch(4, None).len();
    for partition in [0, 0, 1] {
        client.produce("orders", partition, batch(4, None)).await;
    }
    let request = |total: i32, each: i32| {
        let mut request = fetching("orders", &[(0, 0), (1, 0)]).with_max_bytes(total);
        for partition in &mut request.topics[0].partitions {
            partition.partition_max_bytes = each;
        }
        request
    };
    assert_eq!(
        summary(&client.call(&request(1, 1), 11).await),
        [(0, 0, size), (1, 0, 0)]
    );
    let total = size as i32 + 10;
    assert_eq!(
        summary(&client.call(&request(total, 1 << 20), 11).await),
        [(0, 0, size + 10), (1, 0, 0)]
    );
    assert_eq!(
        summary(&client.call(&request(1 << 20, total), 11).await),
        [(0, 0, size + 10), (1, 0, size)]
    );
}

#[tokio::test(start_paused = true)]
async fn an_offset_outside_the_log_is_out_of_range() {
    let (broker, mut client) = one_topic().await;
    client.produce("orders", 0, batch(5, None)).await;
    broker.inspect().delete_records("orders", 0, 3);
    for (offset, expected) in [
        (2, Some(ErrorCode::OFFSET_OUT_OF_RANGE)),
        (3, None),
        (5, None),
        (6, Some(ErrorCode::OFFSET_OUT_OF_RANGE)),
    ] {
        assert_eq!(
            code(client.fetch("orders", 0, offset).await.error_code),
            expected,
            "offset {offset}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_answers_only_with_news() {
    let (broker, mut client) = one_topic().await;
    let full = fetching("orders", &[(0, 0), (1, 0), (2, 0)]).with_session_epoch(0);
    let answer = client.call(&full, 11).await;
    assert_eq!(summary(&answer).len(), 3);
    let id = answer.session_id;
    let quiet = fetching("orders", &[])
        .with_topics(vec![])
        .with_session_id(id);
    assert_eq!(
        summary(&client.call(&quiet.clone().with_session_epoch(1), 11).await),
        []
    );
    client.produce("orders", 1, batch(1, None)).await;
    let size = batch(1, None).len();
    assert_eq!(
        summary(&client.call(&quiet.clone().with_session_epoch(2), 11).await),
        [(1, 0, size)]
    );
    let forgotten = ForgottenTopic::default()
        .with_topic(topic("orders"))
        .with_partitions(vec![1]);
    let forget = quiet
        .clone()
        .with_session_epoch(3)
        .with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(summary(&client.call(&forget, 11).await), []);
    let wrong = client.call(&quiet.clone().with_session_epoch(9), 11).await;
    assert_eq!(
        code(wrong.error_code),
        Some(ErrorCode::INVALID_FETCH_SESSION_EPOCH)
    );
    assert_eq!(broker.inspect().fetch_sessions(1), 1);
    client.call(&quiet.with_session_epoch(-1), 11).await;
    assert_eq!(broker.inspect().fetch_sessions(1), 0);
}

#[tokio::test(start_paused = true)]
async fn retention_keeps_a_partition_small() {
    let broker = Broker::builder()
        .topic("orders", 1)
        .retention_bytes(1000)
        .start()
        .await
        .unwrap();
    let mut client = Client::to(&broker, 1).await;
    for _ in 0..20 {
        client.produce("orders", 0, batch(5, None)).await;
    }
    assert!(broker.inspect().size("orders", 0).unwrap() <= 1000);
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(100));
    assert!(broker.inspect().start_offset("orders", 0).unwrap() > 0);
}

#[tokio::test(start_paused = true)]
async fn the_records_of_a_wrong_time_are_named_and_none_is_written() {
    let now = Timestamp::from_millis(1_700_000_000_000);
    let builder = Broker::builder().topic("orders", 1).clock(move || now);
    let broker = builder.start().await.unwrap();
    let mut client = Client::to(&broker, 1).await;
    let (good, ahead) = (now.to_millis(), now.to_millis() * 1000);
    let times = [good, ahead, good, ahead];
    let refused = client.produce("orders", 0, batch_at(&times)).await;
    assert_eq!(code(refused.error_code), Some(ErrorCode::INVALID_TIMESTAMP));
    let each = refused.record_errors.iter().map(|one| one.batch_index);
    assert_eq!(each.collect::<Vec<_>>(), [1, 3]);
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_time_is_looked_up_behind_a_batch_that_deletion_cut_into() {
    let (broker, mut client) = one_topic().await;
    client.produce("orders", 0, batch_at(&[9000, 100])).await;
    client.produce("orders", 0, batch_at(&[9500])).await;
    let partition = delete_records_request::DeleteRecordsPartition::default().with_offset(1);
    let topics = delete_records_request::DeleteRecordsTopic::default()
        .with_name(topic("orders"))
        .with_partitions(vec![partition]);
    let trim = DeleteRecordsRequest::default().with_topics(vec![topics]);
    assert_eq!(
        client.call(&trim, 2).await.topics[0].partitions[0].error_code,
        0
    );
    let asked = list_offsets_request::ListOffsetsPartition::default().with_timestamp(9000);
    let topics = list_offsets_request::ListOffsetsTopic::default()
        .with_name(topic("orders"))
        .with_partitions(vec![asked]);
    let request = ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_topics(vec![topics]);
    let found = client.call(&request, 5).await.topics[0].partitions[0].offset;
    assert_eq!(found, 2);
    drop(broker);
}

#[tokio::test(start_paused = true)]
async fn a_compacted_topic_names_the_records_that_lack_a_key() {
    let builder = Broker::builder().topic_with("orders", 1, [("cleanup.policy", "compact")]);
    let broker = builder.start().await.unwrap();
    let mut client = Client::to(&broker, 1).await;
    let refused = client.produce("orders", 0, batch(2, None)).await;
    assert_eq!(code(refused.error_code), Some(ErrorCode::INVALID_RECORD));
    let each: Vec<_> = refused
        .record_errors
        .iter()
        .map(|one| one.batch_index)
        .collect();
    assert_eq!(each, [0, 1]);
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(0));
}
