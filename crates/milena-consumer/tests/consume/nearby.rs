//! Reading from the closest replica (KIP-392), and from the leader whenever that replica does not
//! serve.

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{AssignedConsumer, StartAt};
use milena_core::TopicPartition;

use crate::bed::reading::expect;
use crate::bed::{Bed, bed_with};

/// Starts two brokers in racks `a` and `b`, which both hold all records.
async fn racked() -> Bed {
    bed_with(1, |builder| builder.replication_factor(2).racks(["a", "b"])).await
}

async fn reader(bed: &Bed, rack: &str) -> AssignedConsumer {
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .client_rack(rack)
        .build()
        .unwrap();
    consumer.assign([(TopicPartition::new("orders", 0), StartAt::Beginning)]);
    consumer
}

fn leader_and_follower(bed: &Bed) -> (i32, i32) {
    let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
    (leader, 3 - leader)
}

/// Returns the rack of the follower.
fn far_rack(bed: &Bed) -> &'static str {
    ["a", "b"][usize::try_from(leader_and_follower(bed).1 - 1).unwrap()]
}

/// Returns the number of fetches of a broker that returned records.
fn fetches(bed: &Bed, node: i32) -> usize {
    let journal = bed.broker.journal().requests(ApiKey::Fetch);
    journal.iter().filter(|entry| entry.node() == node).count()
}

#[tokio::test(start_paused = true)]
async fn a_consumer_reads_from_the_replica_in_its_rack() {
    let bed = racked().await;
    bed.fill(1, 0, 10).await;
    let (leader, follower) = leader_and_follower(&bed);
    let consumer = reader(&bed, far_rack(&bed)).await;
    expect(&consumer, 0..10).await;
    let at_leader = fetches(&bed, leader);
    for first in [10, 20, 30] {
        bed.fill(1, first, 10).await;
        let first = i64::try_from(first).unwrap();
        expect(&consumer, first..first + 10).await;
    }
    assert!(fetches(&bed, follower) >= 3);
    assert_eq!(fetches(&bed, leader), at_leader, "it is asked no more");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_without_a_rack_or_in_the_leaders_reads_from_the_leader() {
    for rack in ["", "a", "b", "elsewhere"] {
        let bed = racked().await;
        bed.fill(1, 0, 10).await;
        if rack == far_rack(&bed) {
            continue;
        }
        let consumer = reader(&bed, rack).await;
        expect(&consumer, 0..10).await;
        assert_eq!(fetches(&bed, leader_and_follower(&bed).1), 0, "`{rack}`");
    }
}

#[tokio::test(start_paused = true)]
async fn the_leader_serves_again_where_the_replica_does_not() {
    let (gone, range) = (
        ErrorCode::REPLICA_NOT_AVAILABLE,
        ErrorCode::OFFSET_OUT_OF_RANGE,
    );
    let faults = [
        Fault::error(gone),
        Fault::error(range),
        Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        Fault::error(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        Fault::disconnect(),
    ];
    for fault in faults {
        let bed = racked().await;
        bed.fill(1, 0, 10).await;
        let (leader, follower) = leader_and_follower(&bed);
        let fault = fault.on(ApiKey::Fetch).node(follower).always();
        let handle = bed.broker.faults().add(fault);
        let consumer = reader(&bed, far_rack(&bed)).await;
        expect(&consumer, 0..10).await;
        assert!(handle.fired() > 0);
        assert!(fetches(&bed, leader) > 0);
        let lists = bed.broker.journal().requests(ApiKey::ListOffsets);
        let at_follower = lists.iter().filter(|entry| entry.node() == follower);
        assert_eq!(at_follower.count(), 0, "only leaders know offsets");
        // The consumer tries the follower again later, and not with every fetch.
        bed.fill(1, 10, 10).await;
        expect(&consumer, 10..20).await;
        assert!(handle.fired() < 6, "{} tries", handle.fired());
        handle.remove();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let before = fetches(&bed, follower);
        bed.fill(1, 20, 10).await;
        expect(&consumer, 20..30).await;
        bed.fill(1, 30, 1).await;
        expect(&consumer, 30..31).await;
        assert!(fetches(&bed, follower) > before, "it serves again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_goes_down_is_left_and_one_behind_is_not_taken_for_the_end() {
    let bed = racked().await;
    bed.fill(1, 0, 10).await;
    let (_, follower) = leader_and_follower(&bed);
    let consumer = reader(&bed, far_rack(&bed)).await;
    expect(&consumer, 0..10).await;
    bed.broker.inspect().broker_down(follower);
    bed.fill(1, 10, 10).await;
    expect(&consumer, 10..20).await;
    let racks: Vec<_> = bed
        .broker
        .journal()
        .requests(ApiKey::Fetch)
        .iter()
        .filter_map(|entry| match entry.message()? {
            milena_protocol::any::AnyRequest::Fetch(fetch) => Some(fetch.rack_id.to_string()),
            _ => None,
        })
        .collect();
    assert!(racks.iter().any(|rack| rack == far_rack(&bed)));
}
