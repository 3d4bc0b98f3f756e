//! The end of a producer. It may be asked for more than once, or its cluster may end first.

use std::time::Duration;

use milena_broker::{ApiKey, Fault};
use milena_core::{ErrorKind, Persistence};
use tokio::time::{Instant, sleep, timeout};

use crate::bed::{bed, record};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_second_close_changes_nothing_of_the_first() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let silence = Fault::silence().on(ApiKey::Produce);
    bed.broker.faults().add(silence.always());
    let delivery = producer.enqueue(record("lost")).await.unwrap();
    sleep(SECOND).await;
    let (start, first) = (Instant::now(), producer.clone());
    let first = tokio::spawn(async move { first.close(60 * SECOND).await });
    sleep(SECOND).await;
    let second = producer.close(Duration::from_millis(10)).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Timeout);
    assert_eq!(start.elapsed().as_millis(), 1010);
    assert!(delivery.outcome().is_none(), "its time is not over");
    let first = first.await.unwrap().unwrap_err();
    assert_eq!(first.kind(), ErrorKind::Timeout);
    assert_eq!(first.persistence(), Some(Persistence::PossiblyWritten));
    assert_eq!(start.elapsed(), 60 * SECOND);
    let error = delivery.await.unwrap_err();
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
}

#[tokio::test(start_paused = true)]
async fn each_close_hears_how_the_end_went() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let slow = Fault::delay_answer(5 * SECOND).on(ApiKey::Produce);
    bed.broker.faults().add(slow);
    let delivery = producer.enqueue(record("slow")).await.unwrap();
    sleep(SECOND).await;
    let (one, other) = (producer.clone(), producer.clone());
    let (one, other) = tokio::join!(one.close(60 * SECOND), other.close(30 * SECOND));
    one.unwrap();
    other.unwrap();
    delivery.await.unwrap();
    producer.close(SECOND).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_producer_ends_with_its_cluster_and_not_after_the_delivery_timeout() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let silence = Fault::silence().on(ApiKey::Produce);
    bed.broker.faults().add(silence.always());
    let sent = producer.enqueue(record("no answer comes")).await.unwrap();
    sleep(SECOND).await;
    let start = Instant::now();
    bed.cluster.close().await;
    let error = timeout(SECOND, sent).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
    let later = timeout(SECOND, producer.send(record("later")));
    let error = later.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    producer.close(60 * SECOND).await.unwrap();
    assert!(start.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_producer_of_a_closed_cluster_accepts_nothing_that_it_cannot_send() {
    let bed = bed(1).await;
    bed.producer().send(record("warm")).await.unwrap();
    bed.cluster.close().await;
    // The topic is known, so the first record may get as far as the dial.
    let producer = bed.producer();
    for _ in 0..3 {
        let sent = timeout(SECOND, producer.send(record("v")));
        let error = sent.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    }
}
