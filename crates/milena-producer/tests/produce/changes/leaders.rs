//! Leaders that move, brokers that restart, and metadata that is out of date.

use std::time::Duration;

use milena_broker::{ApiKey, Fault};
use milena_core::ProducerRecord;
use tokio::time::{Instant, timeout};

use crate::bed::{Bed, Ledger, bed, bed_with, numbers, record, record_at};

const SECOND: Duration = Duration::from_secs(1);

fn metadata_requests(bed: &Bed) -> usize {
    bed.broker.journal().requests(ApiKey::Metadata).len()
}

#[tokio::test(start_paused = true)]
async fn the_leader_that_the_old_one_names_is_used_without_asking_for_metadata() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let (first, second) = bed.leader_and_other();
    // This connects both brokers.
    producer.send(record("a")).await.unwrap();
    bed.broker.inspect().move_leader("orders", 0, second);
    producer.send(record("b")).await.unwrap();
    let asked = metadata_requests(&bed);
    for (round, node) in [first, second, first, second].into_iter().enumerate() {
        bed.broker.inspect().move_leader("orders", 0, node);
        let start = Instant::now();
        producer.send(record(&round.to_string())).await.unwrap();
        assert!(
            start.elapsed() < Duration::from_millis(20),
            "there is nothing to wait for"
        );
    }
    assert_eq!(metadata_requests(&bed), asked);
    assert_eq!(bed.values(0).len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_leader_named_by_one_who_is_behind_is_not_asked_without_a_pause() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let (_, second) = bed.leader_and_other();
    producer.send(record("a")).await.unwrap();
    // No metadata names the new leader, and the old leader names itself.
    let stale = bed.broker.faults().add(Fault::stale_metadata().always());
    bed.broker
        .inspect()
        .move_leader_quietly("orders", 0, second);
    let asked = || bed.broker.journal().requests(ApiKey::Produce).len();
    let (before, sending) = (asked(), producer.enqueue(record("b")).await.unwrap());
    let second_passes = timeout(SECOND, sending);
    assert!(second_passes.await.is_err());
    let requests = asked() - before;
    assert!((2..=11).contains(&requests), "{requests} requests");
    stale.remove();
    producer.send(record("c")).await.unwrap();
    assert_eq!(bed.values(0), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_is_followed_though_no_broker_tells_of_it_in_metadata() {
    let bed = bed(3).await;
    let producer = bed.producer();
    let mut ledger = Ledger::default();
    for partition in 0..3 {
        ledger
            .enqueue(&producer, record_at(partition, "warm"))
            .await;
    }
    producer.flush().await.unwrap();
    bed.broker
        .faults()
        .add(Fault::silence().on(ApiKey::Metadata).always());
    let (_, second) = bed.leader_and_other();
    for partition in 0..3 {
        bed.broker
            .inspect()
            .move_leader("orders", partition, second);
        let sent = producer.send(record_at(partition, format!("moved {partition}")));
        timeout(SECOND, sent).await.unwrap().unwrap();
    }
    ledger.hold(&bed).await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_picture_of_the_leaders_is_not_believed_over_a_newer_one() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let (first, second) = bed.leader_and_other();
    producer.send(record("0")).await.unwrap();
    bed.broker.faults().add(Fault::stale_metadata().times(20));
    bed.broker.inspect().move_leader("orders", 0, second);
    let mut ledger = Ledger::default();
    for number in numbers(20) {
        bed.cluster.request_refresh();
        ledger
            .enqueue(&producer, record(&format!("1.{number}")))
            .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 20);
    let asked = |node| {
        let produce = bed.broker.journal().requests(ApiKey::Produce);
        produce.iter().filter(|entry| entry.node() == node).count()
    };
    assert!(
        asked(first) <= 3,
        "the old leader is not asked again and again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_at_any_moment_keeps_every_record_in_its_place() {
    for moment in 0..25 {
        let bed = bed(2).await;
        let producer = bed.producer();
        let (first, second) = bed.leader_and_other();
        let faults = bed.broker.faults();
        let slow = Fault::delay_answer(Duration::from_millis(7)).on(ApiKey::Produce);
        faults.add(slow.times(4));
        let moving = async {
            for node in [second, first, second] {
                tokio::time::sleep(Duration::from_millis(moment)).await;
                bed.broker.inspect().move_leader("orders", 0, node);
            }
        };
        let mut ledger = Ledger::default();
        let sending = async {
            for number in 0..60u32 {
                let record = record_at(number % 2, number.to_string());
                ledger.enqueue(&producer, record).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::join!(moving, sending);
        assert_eq!(
            ledger.hold(&bed).await.delivered,
            60,
            "moved at {moment} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn brokers_that_restart_one_by_one_are_not_noticed_by_the_user() {
    let bed = bed_with(6, |broker| broker.brokers(3)).await;
    let producer = bed.producer();
    let mut ledger = Ledger::default();
    let mut restarts = bed
        .broker
        .addresses()
        .into_iter()
        .map(|(node, _)| node)
        .cycle();
    let mut down = None;
    for number in 0..600u32 {
        if number % 50 == 25 {
            down = restarts.next();
            bed.broker.inspect().broker_down(down.unwrap());
        }
        if number % 50 == 45 {
            bed.broker.inspect().broker_up(down.unwrap());
        }
        let record = ProducerRecord::new("orders").key(number.to_string());
        ledger
            .enqueue(&producer, record.value(number.to_string()))
            .await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 600);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_down_altogether_is_found_again() {
    let bed = bed(2).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let mut ledger = Ledger::default();
    for round in 0..3 {
        for (node, _) in bed.broker.addresses() {
            bed.broker.inspect().broker_down(node);
        }
        for number in 0..10u32 {
            let record = record_at(number % 2, format!("{round}.{number}"));
            ledger.enqueue(&producer, record).await;
        }
        tokio::time::sleep(30 * SECOND).await;
        for (node, _) in bed.broker.addresses() {
            bed.broker.inspect().broker_up(node);
        }
        timeout(10 * SECOND, producer.flush())
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 30);
}

#[tokio::test(start_paused = true)]
async fn a_broker_at_another_address_is_reached_there() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("0")).await.unwrap();
    let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
    bed.broker
        .inspect()
        .advertise(leader, "moved.memory:9092".parse().unwrap());
    bed.broker.inspect().cut_connections(leader);
    let sent = producer.send(record("1"));
    timeout(10 * SECOND, sent).await.unwrap().unwrap();
    assert_eq!(bed.values(0), numbers(2));
}
