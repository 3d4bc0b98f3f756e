//! Replicas. The tests cover the replicas in sync, the wait of acks=all, and the loss of records
//! with a leader that lacks them.

use std::time::Duration;

use crate::bed::{Client, batch, code, eventually, fetching, producing, text};
use milena_broker::{ApiKey, Broker, ErrorCode, Fault};
use tokio::time::Instant;

/// Starts three brokers, with one partition on all of them that broker 1 leads.
async fn start(configs: &[(&str, &str)]) -> (Broker, Client) {
    let builder = Broker::builder().brokers(3);
    let builder = builder.topic_with("orders", 1, configs.iter().copied());
    let broker = builder.start().await.unwrap();
    broker.inspect().move_leader("orders", 0, 1);
    let client = Client::to(&broker, 1).await;
    (broker, client)
}

#[tokio::test(start_paused = true)]
async fn all_acknowledge_only_when_the_followers_in_sync_have_the_batch() {
    let (broker, mut client) = start(&[]).await;
    assert_eq!(broker.inspect().in_sync("orders", 0).len(), 3);
    assert!(!broker.inspect().stop_replica("orders", 0, 1), "it leads");
    assert!(!broker.inspect().shrink_in_sync("orders", 0, 1));
    assert!(broker.inspect().stop_replica("orders", 0, 2));
    let began = Instant::now();
    let refused = client.produce("orders", 0, batch(2, Some((7, 0, 0)))).await;
    assert_eq!(code(refused.error_code), Some(ErrorCode::REQUEST_TIMED_OUT));
    assert_eq!(
        began.elapsed(),
        Duration::from_secs(1),
        "the request's timeout"
    );
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(2));
    assert_eq!(broker.inspect().high_watermark("orders", 0), Some(0));
    assert_eq!(client.fetch("orders", 0, 0).await.high_watermark, 0);
    // The same batch waits again. The follower comes back meanwhile.
    let request = producing("orders", 0, batch(2, Some((7, 0, 0))));
    client.send(&request, 9).await;
    eventually("it is sent again", || {
        broker.journal().requests(ApiKey::Produce).len() == 2
    })
    .await;
    assert!(broker.inspect().resume_replica("orders", 0, 2));
    client.frame().await.unwrap();
    assert_eq!(broker.inspect().high_watermark("orders", 0), Some(2));
    let again = client.produce("orders", 0, batch(2, Some((7, 0, 0)))).await;
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(2));
}

#[tokio::test(start_paused = true)]
async fn one_acknowledges_at_once_whatever_the_followers_have() {
    let (broker, mut client) = start(&[]).await;
    broker.inspect().stop_replica("orders", 0, 2);
    let request = producing("orders", 0, batch(2, None)).with_acks(1);
    let answer = client.call(&request, 9).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(broker.inspect().high_watermark("orders", 0), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_lags_leaves_after_its_time_and_too_few_refuse_the_batch() {
    let (broker, mut client) = start(&[("min.insync.replicas", "3")]).await;
    broker.inspect().stop_replica("orders", 0, 3);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        broker.inspect().in_sync("orders", 0).len(),
        3,
        "it lacks nothing"
    );
    let late = client.produce("orders", 0, batch(1, None)).await;
    assert_eq!(
        code(late.error_code),
        Some(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND)
    );
    assert_eq!(broker.inspect().in_sync("orders", 0), [1, 2]);
    let early = client.produce("orders", 0, batch(1, None)).await;
    assert_eq!(code(early.error_code), Some(ErrorCode::NOT_ENOUGH_REPLICAS));
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(1));
    broker.inspect().resume_replica("orders", 0, 3);
    assert_eq!(
        client.produce("orders", 0, batch(1, None)).await.error_code,
        0
    );
    assert_eq!(broker.inspect().in_sync("orders", 0), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_the_last_batches_loses_them_and_what_it_knew_of_their_producer() {
    let (broker, mut client) = start(&[]).await;
    client.produce("orders", 0, batch(2, Some((7, 0, 0)))).await;
    broker.inspect().stop_replica("orders", 0, 2);
    let lost = producing("orders", 0, batch(3, Some((7, 0, 2)))).with_acks(1);
    client.call(&lost, 9).await;
    assert_eq!(broker.inspect().producers("orders", 0), [(7, 0, Some(4))]);
    broker.inspect().move_leader("orders", 0, 2);
    assert_eq!(broker.inspect().end_offset("orders", 0), Some(2));
    assert_eq!(broker.inspect().producers("orders", 0), [(7, 0, Some(1))]);
    let mut client = Client::to(&broker, 2).await;
    let next = client.produce("orders", 0, batch(1, Some((7, 0, 2)))).await;
    assert_eq!((next.error_code, next.base_offset), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_while_it_waits_says_so_after_the_append() {
    let (broker, mut client) = start(&[]).await;
    broker.inspect().stop_replica("orders", 0, 3);
    client
        .send(&producing("orders", 0, batch(2, None)), 9)
        .await;
    let appended = || broker.inspect().end_offset("orders", 0) == Some(2);
    eventually("the batch is appended", appended).await;
    broker.inspect().move_leader("orders", 0, 2);
    let began = Instant::now();
    client.frame().await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(100));
    let entry = broker.journal().requests(ApiKey::Produce).pop().unwrap();
    let errors = &entry.outcome().unwrap().errors;
    assert_eq!(*errors, [ErrorCode::NOT_LEADER_OR_FOLLOWER]);
    assert_eq!(
        broker.inspect().end_offset("orders", 0),
        Some(2),
        "broker 2 has it"
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_last_one_in_sync_leads_after_all_were_down_unless_elections_may_be_unclean() {
    for (unclean, leads) in [("false", false), ("true", true)] {
        let (broker, mut client) = start(&[("unclean.leader.election.enable", unclean)]).await;
        broker.inspect().broker_down(3);
        broker.inspect().broker_down(2);
        assert_eq!(broker.inspect().in_sync("orders", 0), [1]);
        client.produce("orders", 0, batch(2, None)).await;
        broker.inspect().broker_down(1);
        assert_eq!(broker.inspect().leader("orders", 0), None);
        broker.inspect().broker_up(3);
        assert_eq!(broker.inspect().leader("orders", 0).is_some(), leads);
        broker.inspect().broker_up(1);
        let (leader, _) = broker.inspect().leader("orders", 0).unwrap();
        assert_eq!(leader, if leads { 3 } else { 1 });
        let end = broker.inspect().end_offset("orders", 0);
        assert_eq!(end, Some(if leads { 0 } else { 2 }));
        assert_eq!(broker.inspect().in_sync("orders", 0), [1, 3]);
        broker.inspect().broker_up(2);
        assert_eq!(broker.inspect().in_sync("orders", 0), [1, 2, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_tells_who_is_in_sync_and_who_is_gone() {
    let (broker, _) = start(&[]).await;
    broker.inspect().shrink_in_sync("orders", 0, 2);
    broker.inspect().broker_down(3);
    let mut client = Client::to(&broker, 1).await;
    let metadata = client.metadata().await;
    let partition = &metadata.topics[0].partitions[0];
    let ids = |ids: &[milena_protocol::messages::BrokerId]| -> Vec<i32> {
        ids.iter().map(|id| id.0).collect()
    };
    assert_eq!(ids(&partition.isr_nodes), [1]);
    assert_eq!(ids(&partition.replica_nodes), [1, 2, 3]);
    assert_eq!(ids(&partition.offline_replicas), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_cannot_be_sent_to_a_named_replica_is_served() {
    let (broker, mut client) = start(&[]).await;
    assert_eq!(
        client.produce("orders", 0, batch(1, None)).await.error_code,
        0
    );
    broker.inspect().name_replica("orders", 0, Some(7));
    let asked = fetching("orders", &[(0, 0)]).with_rack_id(text("far"));
    for (version, preferred) in [(10, -1), (11, 7)] {
        let answer = client.call(&asked, version).await;
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.preferred_read_replica.0, preferred, "{version}");
        let records = partition.records.as_ref().map_or(0, bytes::Bytes::len);
        assert_eq!(records > 0, preferred < 0, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_make_and_delete_topics_and_grow_them() {
    let (broker, mut client) = start(&[]).await;
    let faults = broker.faults();
    faults.add(Fault::delete_topic("orders").on(ApiKey::Produce));
    faults.add(Fault::create_topic("orders", 2).on(ApiKey::Produce).nth(2));
    faults.add(
        Fault::add_partitions("orders", 5)
            .on(ApiKey::Produce)
            .nth(3),
    );
    faults.add(
        Fault::stop_replica("orders", 0, 2)
            .on(ApiKey::Produce)
            .nth(3),
    );
    let gone = client.produce("orders", 0, batch(1, None)).await;
    assert_eq!(
        code(gone.error_code),
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    );
    client.produce("orders", 0, batch(1, None)).await;
    assert_eq!(broker.inspect().partitions("orders"), 2);
    broker.inspect().move_leader("orders", 0, 1);
    let held = client.produce("orders", 0, batch(1, None)).await;
    assert_eq!(code(held.error_code), Some(ErrorCode::REQUEST_TIMED_OUT));
    assert_eq!(broker.inspect().partitions("orders"), 5);
    faults.assert_all_fired();
    broker
        .faults()
        .add(Fault::cut_connections(1).on(ApiKey::Produce));
    client
        .send(&producing("orders", 0, batch(1, None)), 9)
        .await;
    assert!(client.frame().await.is_none());
}
