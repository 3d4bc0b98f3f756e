//! Sequence numbers. No retry, new epoch or new leader loses a record, writes it twice or lets
//! another one overtake it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_core::ProducerRecord;
use milena_producer::Acks;

use crate::bed::{Ledger, bed, bed_with, in_batches, numbers, record, record_at, stamp};

const SECOND: Duration = Duration::from_secs(1);

/// P4. `queue/tests.rs` checks the next sequence after each case.
#[tokio::test(start_paused = true)]
async fn connections_that_end_before_and_after_the_append_leave_no_gap() {
    for first in 1..=4 {
        for order in [[true, false], [false, true], [true, true], [false, false]] {
            let bed = bed(1).await;
            let producer = bed.producer();
            producer.send(record("warm")).await.unwrap();
            let faults = bed.broker.faults();
            // A slow first answer puts five batches in flight.
            faults.add(Fault::delay(20 * Duration::from_millis(1)).on(ApiKey::Produce));
            for (nth, applied) in order.into_iter().enumerate() {
                let fault = match applied {
                    true => Fault::apply_then_disconnect(),
                    false => Fault::disconnect(),
                };
                faults.add(fault.on(ApiKey::Produce).nth(first + 2 * nth as u32));
            }
            let mut ledger = Ledger::default();
            for number in numbers(40) {
                ledger.enqueue(&producer, record(&number)).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert_eq!(ledger.hold(&bed).await.delivered, 40);
            faults.assert_all_fired();
            let epochs: BTreeSet<_> = bed.sent(0).iter().map(|sent| stamp(sent).0).collect();
            assert_eq!(epochs.len(), 1, "nothing was lost for certain: {epochs:?}");
        }
    }
}

/// P5
#[tokio::test(start_paused = true)]
async fn a_retry_has_the_same_bytes_as_the_batch_had() {
    let bed = bed(2).await;
    let producer = bed.builder().batch_size(20_000).build().unwrap();
    let faults = bed.broker.faults();
    for nth in [2, 5, 9] {
        faults.add(Fault::apply_then_disconnect().on(ApiKey::Produce).nth(nth));
        let busy = Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS).on(ApiKey::Produce);
        faults.add(busy.nth(nth + 1).times(2));
    }
    let mut ledger = Ledger::default();
    for number in 0..300usize {
        let value = format!("{number}{}", "x".repeat(number * 7 % 3000));
        ledger
            .enqueue(&producer, record_at(number as u32 % 2, value))
            .await;
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 300);
    let mut repeated = 0;
    for partition in 0..2 {
        let mut seen = BTreeMap::new();
        for sent in bed.sent(partition) {
            let (epoch, first, count) = stamp(&sent);
            let bytes = (count, sent.crc, sent.size);
            let before = seen.insert((epoch, first), bytes);
            assert!(
                before.is_none_or(|before| before == bytes),
                "sequence {first}"
            );
            repeated += usize::from(before.is_some());
        }
    }
    assert!(repeated >= 3, "{repeated} batches were sent again");
}

/// P6
#[tokio::test(start_paused = true)]
async fn a_new_epoch_for_one_partition_does_not_repeat_what_waits_for_its_answer_on_another() {
    let bed = bed(2).await;
    let producer = bed.builder().request_timeout(3 * SECOND).build().unwrap();
    for partition in 0..2 {
        producer.send(record_at(partition, "warm")).await.unwrap();
    }
    let faults = bed.broker.faults();
    faults.add(Fault::apply_then_silence().on(ApiKey::Produce).partition(1));
    let broken = Fault::error(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER).on(ApiKey::Produce);
    faults.add(broken.partition(0));
    let mut ledger = Ledger::default();
    ledger.enqueue(&producer, record_at(1, "appended")).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    ledger.enqueue(&producer, record_at(0, "refused")).await;
    tokio::time::sleep(SECOND).await;
    ledger.enqueue(&producer, record_at(1, "behind")).await;
    assert_eq!(ledger.hold(&bed).await.delivered, 3);
    faults.assert_all_fired();
    assert_eq!(bed.values(1), ["warm", "appended", "behind"]);
    let sent: Vec<_> = bed.sent(1).iter().map(stamp).collect();
    assert_eq!(sent[1], sent[2], "it is sent again as it was");
}

/// P7
#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_during_a_new_producers_first_batch_loses_no_record() {
    for fault in [
        None,
        Some(Fault::apply_then_disconnect()),
        Some(Fault::disconnect()),
        Some(Fault::delay_answer(50 * Duration::from_millis(1))),
    ] {
        for stale in [0, 3] {
            let bed = bed(1).await;
            let (first, second) = bed.leader_and_other();
            let faults = bed.broker.faults();
            if stale > 0 {
                faults.add(Fault::stale_metadata().nth(2).times(stale));
            }
            match fault.clone() {
                None => {
                    faults.add(Fault::move_leader("orders", 0, second).on(ApiKey::Produce));
                }
                Some(fault) => {
                    faults.add(fault.on(ApiKey::Produce).node(first));
                    let then = Fault::move_leader("orders", 0, second).on(ApiKey::Produce);
                    faults.add(then.node(first).nth(2));
                }
            }
            let producer = bed.producer();
            let mut ledger = Ledger::default();
            for number in numbers(12) {
                ledger.enqueue(&producer, record(&number)).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert_eq!(ledger.hold(&bed).await.delivered, 12);
            assert_eq!(bed.values(0), numbers(12));
        }
    }
}

/// P8
#[tokio::test(start_paused = true)]
async fn a_record_that_ran_out_of_time_does_not_take_those_behind_it_along() {
    for appended in [true, false] {
        let bed = bed(1).await;
        let builder = bed.builder().request_timeout(2 * SECOND);
        let producer = builder.delivery_timeout(5 * SECOND).build().unwrap();
        producer.send(record("warm")).await.unwrap();
        let faults = bed.broker.faults();
        if appended {
            faults.add(Fault::apply_then_disconnect().on(ApiKey::Produce));
        }
        let refused = Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS).on(ApiKey::Produce);
        let refused = faults.add(refused.nth(1 + u32::from(appended)).always());
        let mut ledger = Ledger::default();
        ledger.enqueue(&producer, record("head")).await;
        tokio::time::sleep(3 * SECOND).await;
        for number in numbers(10) {
            ledger.enqueue(&producer, record(&number)).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(3 * SECOND).await;
        refused.remove();
        let counts = ledger.hold(&bed).await;
        assert_eq!(counts.delivered, 10);
        assert_eq!(counts.possibly_written, usize::from(appended));
        assert_eq!(bed.values(0).len(), 11 + usize::from(appended));
    }
}

/// P9
#[tokio::test(start_paused = true)]
async fn a_partition_that_was_idle_when_the_epoch_changed_begins_at_zero_too() {
    let bed = bed(2).await;
    let producer = bed.producer();
    for number in numbers(3) {
        producer.send(record_at(1, number)).await.unwrap();
    }
    producer.send(record_at(0, "a")).await.unwrap();
    let forgot = Fault::error(ErrorCode::UNKNOWN_PRODUCER_ID).on(ApiKey::Produce);
    bed.broker.faults().add(forgot);
    producer.send(record_at(0, "b")).await.unwrap();
    producer.send(record_at(1, "3")).await.unwrap();
    producer.send(record_at(1, "4")).await.unwrap();
    assert_eq!(bed.values(1), numbers(5));
    let sent: Vec<_> = bed.sent(1).iter().map(stamp).collect();
    assert_eq!(sent[3..], [(1, 0, 1), (1, 1, 1)]);
}

/// P10, P11. `queue/tests.rs` checks that batches of two epochs are never in flight together.
#[tokio::test(start_paused = true)]
async fn five_in_flight_to_a_broker_that_forgot_the_producer_are_written_in_order() {
    for code in [
        ErrorCode::UNKNOWN_PRODUCER_ID,
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode::INVALID_PRODUCER_EPOCH,
    ] {
        for nth in 1..=5 {
            let bed = bed(1).await;
            let producer = bed.producer();
            producer.send(record("warm")).await.unwrap();
            let faults = bed.broker.faults();
            faults.add(Fault::delay(20 * Duration::from_millis(1)).on(ApiKey::Produce));
            faults.add(Fault::error(code).on(ApiKey::Produce).nth(nth));
            let mut ledger = Ledger::default();
            for number in numbers(30) {
                ledger.enqueue(&producer, record(&number)).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert_eq!(ledger.hold(&bed).await.delivered, 30, "{code:?} at {nth}");
            faults.assert_all_fired();
            let sent: Vec<_> = bed.sent(0).iter().map(stamp).collect();
            let epochs: Vec<_> = sent.iter().map(|sent| sent.0).collect();
            assert!(epochs.is_sorted(), "{epochs:?}");
            let begun = sent.iter().position(|sent| sent.0 == 1).unwrap();
            assert_eq!(sent[begun].1, 0, "a new epoch begins at zero");
        }
    }
}

/// P16. `src/tests/chaos.rs` and `produce/changes/storm.rs` check the same under random faults.
#[tokio::test(start_paused = true)]
async fn retries_do_not_overtake_with_one_or_five_requests_in_flight_or_without_sequences() {
    for (in_flight, acks) in [(1, Acks::All), (5, Acks::All), (5, Acks::Leader)] {
        for nth in 1..8 {
            let bed = bed(1).await;
            let builder = bed.builder().acks(acks).max_in_flight(in_flight);
            let producer = builder.build().unwrap();
            let faults = bed.broker.faults();
            faults.add(
                Fault::delay(10 * Duration::from_millis(1))
                    .on(ApiKey::Produce)
                    .times(3),
            );
            let refused = Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER).on(ApiKey::Produce);
            faults.add(refused.nth(nth).times(2));
            let mut ledger = Ledger::default();
            for number in numbers(40) {
                ledger.enqueue(&producer, record(&number)).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(ledger.hold(&bed).await.delivered, 40);
            faults.assert_all_fired();
        }
    }
}

/// P17
#[tokio::test(start_paused = true)]
async fn a_record_without_a_key_is_sent_again_to_the_partition_it_was_sent_to() {
    let bed = bed(8).await;
    let topic = bed.producer().topic("orders");
    for number in 0..20 {
        bed.broker
            .faults()
            .add(Fault::apply_then_disconnect().on(ApiKey::Produce));
        topic.send(None, Some(&[number])).await.unwrap();
    }
    bed.broker.faults().assert_all_fired();
    let written: usize = (0..8).map(|partition| bed.values(partition).len()).sum();
    assert_eq!(written, 20);
}

/// P18
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_tasks_share_a_partition_without_an_error() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let tasks: Vec<_> = (0..200)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                for number in 0..20 {
                    producer
                        .send(record(&format!("{task}-{number}")))
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let values: BTreeSet<_> = bed.values(0).into_iter().collect();
    assert_eq!((values.len(), bed.values(0).len()), (4000, 4000));
    let sent = bed.sent(0);
    let mut next = 0;
    for (epoch, first, count) in sent.iter().map(stamp) {
        assert_eq!(
            (epoch, first),
            (0, next),
            "nothing failed, nothing is sent again"
        );
        next += count as i32;
    }
}

/// P19
#[tokio::test(start_paused = true)]
async fn no_batch_leaves_without_an_identity_while_it_is_asked_for_and_renewed() {
    let bed = bed_with(4, |broker| broker.journal(20_000)).await;
    let producer = bed.producer();
    let faults = bed.broker.faults();
    let late = ErrorCode::COORDINATOR_LOAD_IN_PROGRESS;
    faults.add(Fault::error(late).on(ApiKey::InitProducerId).times(2));
    faults.add(Fault::disconnect().on(ApiKey::InitProducerId).nth(3));
    for nth in [3, 6, 9, 12] {
        let forgot = Fault::error(ErrorCode::UNKNOWN_PRODUCER_ID).on(ApiKey::Produce);
        faults.add(forgot.nth(nth));
    }
    let tasks: Vec<_> = (0..40u32)
        .map(|task| {
            let producer = producer.clone();
            tokio::spawn(async move {
                let mut ledger = Ledger::default();
                for number in 0..25 {
                    let value = format!("{task}-{number}");
                    let record = ProducerRecord::new("orders")
                        .partition(task % 4)
                        .value(value);
                    ledger.enqueue(&producer, record).await;
                    tokio::time::sleep(Duration::from_millis(20 + u64::from(task))).await;
                }
                ledger
            })
        })
        .collect();
    let mut delivered = 0;
    for task in tasks {
        delivered += task.await.unwrap().hold(&bed).await.delivered;
    }
    assert_eq!(delivered, 1000);
    faults.assert_all_fired();
    for partition in 0..4 {
        assert!(
            bed.sent(partition)
                .iter()
                .all(|sent| sent.stamp().is_some())
        );
    }
}

/// P12, as the broker sees it. `src/sequence.rs` checks the numbers around the largest one.
#[tokio::test(start_paused = true)]
async fn sequences_go_on_batch_by_batch_without_a_hole() {
    let bed = bed(1).await;
    let producer = bed.producer();
    for delivery in in_batches(&producer, 50).await {
        delivery.await.unwrap();
    }
    let mut next = 0;
    for (_, first, count) in bed.sent(0).iter().map(stamp) {
        assert_eq!(first, next);
        next += count as i32;
    }
    assert_eq!(next, 50);
}

/// P1, P11. A broker that lost the state of a producer cannot say whether it has the batch.
#[tokio::test(start_paused = true)]
async fn a_batch_in_doubt_is_not_written_again_where_the_producer_was_forgotten() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let faults = bed.broker.faults();
    faults.add(Fault::apply_then_disconnect().on(ApiKey::Produce));
    let forgot = Fault::error(ErrorCode::UNKNOWN_PRODUCER_ID).on(ApiKey::Produce);
    faults.add(forgot.nth(2));
    let mut ledger = Ledger::default();
    ledger.enqueue(&producer, record("doubtful")).await;
    producer.flush().await.unwrap();
    ledger.enqueue(&producer, record("next")).await;
    let counts = ledger.hold(&bed).await;
    assert_eq!((counts.possibly_written, counts.delivered), (1, 1));
    assert_eq!(bed.values(0), ["warm", "doubtful", "next"]);
}
