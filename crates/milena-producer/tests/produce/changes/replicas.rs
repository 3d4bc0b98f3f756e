//! Followers that fall behind, too few replicas in sync, and leaders that lost records which were
//! not acknowledged.

use std::time::Duration;

use milena_broker::{BrokerBuilder, ErrorCode};
use milena_core::Persistence;
use milena_producer::Acks;
use tokio::time::timeout;

use crate::bed::{Bed, Ledger, bed_with, numbers, record, stamp};

const SECOND: Duration = Duration::from_secs(1);

/// Returns three brokers that all hold the one partition, led by broker 1.
async fn three(min_in_sync: &'static str) -> Bed {
    let change = |broker: BrokerBuilder| broker.brokers(3).replica_lag_time_max(10 * SECOND);
    let bed = bed_with(1, change).await;
    let inspect = bed.broker.inspect();
    inspect.move_leader("orders", 0, 1);
    let key = "min.insync.replicas";
    inspect
        .set_topic_config("orders", key, min_in_sync)
        .unwrap();
    bed
}

#[tokio::test(start_paused = true)]
async fn records_wait_while_too_few_replicas_are_in_sync() {
    let bed = three("2").await;
    let producer = bed.producer();
    producer.send(record("0")).await.unwrap();
    for node in [2, 3] {
        bed.broker.inspect().shrink_in_sync("orders", 0, node);
    }
    let mut ledger = Ledger::default();
    for number in &numbers(10)[1..] {
        ledger.enqueue(&producer, record(number)).await;
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(bed.values(0), ["0"], "nothing is appended meanwhile");
    bed.broker.inspect().resume_replica("orders", 0, 2);
    assert_eq!(ledger.hold(&bed).await.delivered, 9);
    assert_eq!(bed.values(0), numbers(10));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_too_few_replicas_have_in_time_is_possibly_written() {
    for (min_in_sync, code) in [
        ("2", ErrorCode::REQUEST_TIMED_OUT),
        ("3", ErrorCode::NOT_ENOUGH_REPLICAS),
    ] {
        let bed = three(min_in_sync).await;
        let builder = bed.builder().request_timeout(2 * SECOND);
        let producer = builder.delivery_timeout(15 * SECOND).build().unwrap();
        producer.send(record("0")).await.unwrap();
        bed.broker.inspect().stop_replica("orders", 0, 2);
        if code == ErrorCode::REQUEST_TIMED_OUT {
            bed.broker.inspect().stop_replica("orders", 0, 3);
            // Both stay in sync, since their lag time starts again with each of their requests.
            let keep = bed.broker.inspect();
            assert_eq!(keep.in_sync("orders", 0).len(), 3);
        }
        let error = producer.send(record("1")).await.unwrap_err();
        assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
        assert_eq!(bed.values(0), ["0", "1"]);
        for node in [2, 3] {
            bed.broker.inspect().resume_replica("orders", 0, node);
        }
        producer.send(record("2")).await.unwrap();
        assert_eq!(bed.values(0), numbers(3));
    }
}

#[tokio::test(start_paused = true)]
async fn what_only_the_old_leader_had_is_sent_to_the_new_one_in_order() {
    for moment in [1, 5, 20, 100, 1000] {
        let bed = three("1").await;
        let producer = bed.producer();
        producer.send(record("0")).await.unwrap();
        // Broker 2 is in sync and lacks all later records. None of them is acknowledged before
        // broker 2 leads.
        bed.broker.inspect().stop_replica("orders", 0, 2);
        let mut ledger = Ledger::default();
        for number in &numbers(30)[1..] {
            ledger.enqueue(&producer, record(number)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(moment)).await;
        assert!(bed.values(0).len() > 1);
        bed.broker.inspect().broker_down(1);
        assert_eq!(bed.broker.inspect().leader("orders", 0).unwrap().0, 2);
        assert_eq!(bed.values(0), ["0"], "the old leader's end is gone");
        let held = timeout(60 * SECOND, ledger.hold(&bed)).await.unwrap();
        assert_eq!(held.delivered, 29);
        assert_eq!(bed.values(0), numbers(30));
        let epochs = bed.sent(0).iter().map(|sent| stamp(sent).0).max();
        assert_eq!(epochs, Some(0), "the same bytes fit again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_while_it_waits_for_followers_makes_no_duplicate() {
    let bed = three("1").await;
    let producer = bed.producer();
    producer.send(record("0")).await.unwrap();
    bed.broker.inspect().stop_replica("orders", 0, 3);
    let mut ledger = Ledger::default();
    for number in &numbers(10)[1..] {
        ledger.enqueue(&producer, record(number)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Broker 2 has the same records as broker 1, and answers so when the batches are sent again.
    bed.broker.inspect().move_leader("orders", 0, 2);
    assert_eq!(ledger.hold(&bed).await.delivered, 9);
    assert_eq!(bed.values(0), numbers(10));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_the_leader_alone_acknowledged_may_be_lost_with_it() {
    let bed = three("1").await;
    let producer = bed.builder().acks(Acks::Leader).build().unwrap();
    bed.broker.inspect().stop_replica("orders", 0, 2);
    producer.send(record("lost")).await.unwrap();
    bed.broker.inspect().move_leader("orders", 0, 2);
    producer.send(record("kept")).await.unwrap();
    assert_eq!(bed.values(0), ["kept"], "that is what acks=1 means");
}

#[tokio::test(start_paused = true)]
async fn an_unclean_election_that_lost_acknowledged_records_does_not_stop_the_producer() {
    let bed = three("1").await;
    let inspect = bed.broker.inspect();
    let key = "unclean.leader.election.enable";
    inspect.set_topic_config("orders", key, "true").unwrap();
    let producer = bed.producer();
    producer.send(record("0")).await.unwrap();
    for node in [2, 3] {
        inspect.shrink_in_sync("orders", 0, node);
    }
    for number in &numbers(5)[1..] {
        producer.send(record(number)).await.unwrap();
    }
    inspect.broker_down(1);
    assert_eq!(
        bed.values(0),
        ["0"],
        "the broker lost what it had acknowledged"
    );
    for value in ["5", "6"] {
        let sent = producer.send(record(value));
        timeout(10 * SECOND, sent).await.unwrap().unwrap();
    }
    assert_eq!(bed.values(0), ["0", "5", "6"]);
    let (_, epoch, _) = inspect.producers("orders", 0)[0];
    assert_eq!(epoch, 1, "a new epoch closes the gap");
}
