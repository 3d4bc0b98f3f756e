//! States that no retry repairs end the producer at once with a typed error. It recovers from all
//! others.

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_core::{ErrorKind, Persistence};
use tokio::time::{Instant, timeout};

use crate::bed::{Ledger, bed, numbers, record, stamp};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_producer_that_gets_no_identity_by_right_fails_all_at_once_and_says_so_ever_after() {
    let bed = bed(1).await;
    let denied = Fault::error(ErrorCode::CLUSTER_AUTHORIZATION_FAILED).on(ApiKey::InitProducerId);
    bed.broker.faults().add(denied.always());
    let producer = bed.producer();
    let start = Instant::now();
    for number in numbers(3) {
        let error = producer.send(record(&number)).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
        assert!(error.is_fatal());
        assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    }
    assert!(start.elapsed() < SECOND);
    assert_eq!(
        bed.broker.journal().requests(ApiKey::InitProducerId).len(),
        1
    );
    timeout(SECOND, producer.flush()).await.unwrap().unwrap();
    producer.close(SECOND).await.unwrap();
    // Another producer, without sequences, does not need that right.
    let plain = bed.builder().enable_idempotence(false).build().unwrap();
    plain.send(record("plain")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_fence_is_told_as_one_and_the_next_record_goes_under_another_identity() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("0")).await.unwrap();
    let before = bed.sent(0)[0].producer_id;
    bed.broker
        .faults()
        .add(Fault::error(ErrorCode::PRODUCER_FENCED).on(ApiKey::Produce));
    let error = producer.send(record("fenced")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.is_fatal() && !error.is_retriable());
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    producer.send(record("1")).await.unwrap();
    assert_eq!(bed.values(0), numbers(2));
    let after = *bed.sent(0).last().unwrap();
    assert_ne!(after.producer_id, before, "who fenced it has the old one");
    assert_eq!(stamp(&after).1, 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_forgets_the_producer_again_and_again_gets_ever_new_epochs() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let mut ledger = Ledger::default();
    ledger.enqueue(&producer, record("warm")).await;
    producer.flush().await.unwrap();
    let forgot = Fault::error(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER).on(ApiKey::Produce);
    bed.broker.faults().add(forgot.times(6));
    for number in numbers(20) {
        ledger.enqueue(&producer, record(&number)).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 21);
    bed.broker.faults().assert_all_fired();
    let epochs: Vec<_> = bed.sent(0).iter().map(|sent| stamp(sent).0).collect();
    assert!(
        epochs.is_sorted() && epochs.last() == Some(&6),
        "{epochs:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_producer_whose_state_expired_at_the_broker_goes_on_where_it_was() {
    let bed = bed(1).await;
    let producer = bed.producer();
    for number in numbers(5) {
        producer.send(record(&number)).await.unwrap();
        let known = bed.broker.inspect().producers("orders", 0);
        bed.broker
            .inspect()
            .forget_producer("orders", 0, known[0].0);
    }
    assert_eq!(bed.values(0), numbers(5));
}

#[tokio::test(start_paused = true)]
async fn identities_that_come_late_hold_records_back_and_lose_none() {
    let bed = bed(2).await;
    let faults = bed.broker.faults();
    let loading = Fault::error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    faults.add(loading.on(ApiKey::InitProducerId).times(5));
    faults.add(
        Fault::disconnect()
            .on(ApiKey::InitProducerId)
            .nth(6)
            .times(2),
    );
    let producer = bed.producer();
    let mut ledger = Ledger::default();
    for number in numbers(50) {
        ledger.enqueue(&producer, record(&number)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 50);
    faults.assert_all_fired();
}
