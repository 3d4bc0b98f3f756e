//! Order and exactly-once under faults.

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};

use crate::bed::{bed, failures, in_batches, numbers, record};

#[tokio::test(start_paused = true)]
async fn records_are_written_in_the_order_of_enqueueing() {
    let bed = bed(1).await;
    let producer = bed.producer();
    assert_eq!(failures(in_batches(&producer, 50).await).await, 0);
    assert_eq!(bed.values(0), numbers(50));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_append_makes_no_duplicate_and_no_loss() {
    let bed = bed(1).await;
    let producer = bed.producer();
    bed.broker.faults().add(
        Fault::apply_then_disconnect()
            .on(ApiKey::Produce)
            .nth(3)
            .times(2),
    );
    assert_eq!(failures(in_batches(&producer, 30).await).await, 0);
    assert_eq!(bed.values(0), numbers(30));
    bed.broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_before_the_append_loses_nothing() {
    let bed = bed(1).await;
    let producer = bed.producer();
    bed.broker
        .faults()
        .add(Fault::disconnect().on(ApiKey::Produce).nth(2).times(3));
    assert_eq!(failures(in_batches(&producer, 30).await).await, 0);
    assert_eq!(bed.values(0), numbers(30));
    bed.broker.faults().assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn five_in_flight_with_one_refused_keep_their_order() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let faults = bed.broker.faults();
    faults.add(
        Fault::delay(Duration::from_millis(20))
            .on(ApiKey::Produce)
            .times(3),
    );
    faults.add(
        Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS)
            .on(ApiKey::Produce)
            .nth(2),
    );
    assert_eq!(failures(in_batches(&producer, 40).await).await, 0);
    assert_eq!(bed.values(0)[1..], numbers(40));
    faults.assert_all_fired();
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_keeps_the_order() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let (first, second) = bed.leader_and_other();
    let mut all = Vec::new();
    for number in numbers(60) {
        match number.as_str() {
            "20" => assert!(bed.broker.inspect().move_leader("orders", 0, second)),
            "40" => assert!(bed.broker.inspect().move_leader("orders", 0, first)),
            _ => {}
        }
        all.push(producer.enqueue(record(&number)).await.unwrap());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(failures(all).await, 0);
    assert_eq!(bed.values(0), numbers(60));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_dies_in_mid_send_is_waited_for() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("0")).await.unwrap();
    for (node, _) in bed.broker.addresses() {
        bed.broker.inspect().broker_down(node);
    }
    let delivery = producer.enqueue(record("1")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(delivery.outcome().is_none());
    for (node, _) in bed.broker.addresses() {
        bed.broker.inspect().broker_up(node);
    }
    delivery.await.unwrap();
    assert_eq!(bed.values(0), numbers(2));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_forgot_the_producer_gets_a_new_epoch() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("0")).await.unwrap();
    let known = bed.broker.inspect().producers("orders", 0);
    bed.broker
        .faults()
        .add(Fault::error(ErrorCode::UNKNOWN_PRODUCER_ID).on(ApiKey::Produce));
    producer.send(record("1")).await.unwrap();
    let now = bed.broker.inspect().producers("orders", 0);
    assert_eq!(now[0].0, known[0].0);
    assert_eq!(now[0].1, known[0].1 + 1);
    assert_eq!(bed.values(0), numbers(2));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_restarts_and_hides_the_topic_for_a_while_changes_nothing() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("0")).await.unwrap();
    let faults = bed.broker.faults();
    faults.add(Fault::hide_topic("orders").times(2));
    faults.add(Fault::disconnect().on(ApiKey::Produce));
    producer.send(record("1")).await.unwrap();
    producer.send(record("2")).await.unwrap();
    assert_eq!(bed.values(0), numbers(3));
}
