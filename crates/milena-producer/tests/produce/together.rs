//! Many records as one awaitable.

use std::time::{Duration, Instant};

use milena_broker::{ApiKey, Fault};
use milena_core::{ErrorCode, ErrorKind, Offset, ProducerRecord};

use milena_producer::{KeyValue, Topic};

use crate::bed::{Bed, bed, bed_with, numbers, record};

#[tokio::test(start_paused = true)]
async fn records_enqueued_together_keep_their_order_and_each_has_its_offset() {
    let bed = bed(1).await;
    let orders = bed.producer().topic("orders");
    let values = numbers(5000);
    let sent = orders.enqueue_all(&values).await;
    assert_eq!(sent.len(), 5000);
    let offsets: Vec<_> = sent
        .await
        .into_iter()
        .map(|one| one.unwrap().offset)
        .collect();
    let expected: Vec<_> = (0..5000_u32)
        .map(|offset| Some(Offset::from(offset)))
        .collect();
    assert_eq!(offsets, expected);
    assert_eq!(bed.values(0), values);
}

#[tokio::test(start_paused = true)]
async fn records_with_and_without_keys_go_where_each_alone_would_go() {
    let bed = bed(4).await;
    let producer = bed.producer();
    let orders = producer.topic("orders");
    let keys: Vec<_> = (0..100).map(|key| format!("customer-{key}")).collect();
    let records = keys.iter().map(|key| (key, key));
    let together = orders.enqueue_all(records).await.await;
    for (key, outcome) in keys.iter().zip(together) {
        let alone = orders.send(Some(key.as_bytes()), None).await.unwrap();
        assert_eq!(outcome.unwrap().partition, alone.partition, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_has_its_own_error_and_the_others_go_on() {
    let bed = bed(1).await;
    let producer = bed.builder().max_request_size(2048).build().unwrap();
    let large = "x".repeat(3000);
    let values = ["a", "b", large.as_str(), "c"];
    let outcomes = producer.topic("orders").enqueue_all(values).await.await;
    let kinds: Vec<_> = outcomes
        .iter()
        .map(|one| one.as_ref().err().map(milena_core::Error::kind))
        .collect();
    assert_eq!(kinds, [None, None, Some(ErrorKind::RecordTooLarge), None]);
    assert_eq!(bed.values(0), ["a", "b", "c"]);
    let sent = producer.topic("orders").enqueue_all(values).await;
    let error = sent.all_delivered().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
}

#[tokio::test(start_paused = true)]
async fn the_first_error_of_any_record_is_told_and_all_are_waited_for() {
    let bed = bed(1).await;
    let fault = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(ApiKey::Produce);
    bed.broker.faults().add(fault);
    let producer = bed.producer();
    let records = numbers(10).into_iter().map(|value| record(&value));
    let error = producer
        .enqueue_all(records)
        .await
        .all_delivered()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let records = numbers(10).into_iter().map(|value| record(&value));
    producer
        .enqueue_all(records)
        .await
        .all_delivered()
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn records_of_a_batch_that_was_split_have_their_offsets_still() {
    let bed = bed_with(1, |broker| broker.message_max_bytes(1000)).await;
    let values = numbers(500);
    let orders = bed.producer().topic("orders");
    let sent = orders.enqueue_all(&values).await;
    let outcomes = sent.await;
    assert_eq!(bed.values(0), values);
    for (number, outcome) in outcomes.into_iter().enumerate() {
        let expected = Offset::from(u32::try_from(number).unwrap());
        assert_eq!(outcome.unwrap().offset, Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_enqueued_is_delivered_at_once() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let none = producer
        .enqueue_all(std::iter::empty::<ProducerRecord>())
        .await;
    assert!(none.is_empty());
    none.all_delivered().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_task_may_enqueue_what_it_makes_as_it_goes() {
    let bed = bed(1).await;
    let orders = bed.producer().topic("orders");
    let values = numbers(100);
    let sent = tokio::spawn(async move {
        let records = (0..100).map(|at: usize| (None::<&str>, values.get(at).map(String::as_str)));
        orders.enqueue_all(records).await.all_delivered().await
    });
    sent.await.unwrap().unwrap();
    assert_eq!(bed.values(0), numbers(100));
}

/// The task wakes the sender. Without a countermeasure the runtime would keep the sender on that
/// task's thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_burst_leaves_while_its_task_goes_on_without_awaiting() {
    for batch_size in [16 << 10, 512 << 10] {
        let bed = bed(1).await;
        let producer = bed.builder().batch_size(batch_size).build().unwrap();
        let topic = producer.topic("orders");
        topic
            .enqueue(None, Some(b"warm"))
            .await
            .unwrap()
            .await
            .unwrap();
        let task = tokio::spawn(async move {
            let mut first = None;
            for _ in 0..400 {
                let delivery = topic.enqueue(None, Some(&[b'x'; 1024])).await.unwrap();
                first.get_or_insert(delivery);
            }
            let deadline = Instant::now() + Duration::from_secs(20);
            let first = first.unwrap();
            while first.outcome().is_none() && Instant::now() < deadline {
                std::thread::yield_now();
            }
            first.outcome().is_some()
        });
        assert!(
            task.await.unwrap(),
            "nothing left while the task was busy, {batch_size}"
        );
    }
}

/// A record that enqueues another one to the same partition each time it is read or dropped.
struct Meddling<'a>(&'a Topic);

impl Meddling<'_> {
    fn meddle(&self, what: &str) {
        let delivery = self.0.try_enqueue(None, Some(what.as_bytes()));
        drop(delivery.unwrap());
    }
}

impl KeyValue for Meddling<'_> {
    fn key(&self) -> Option<&[u8]> {
        self.meddle("key");
        None
    }

    fn value(&self) -> Option<&[u8]> {
        self.meddle("value");
        Some(b"own")
    }
}

impl Drop for Meddling<'_> {
    fn drop(&mut self) {
        self.meddle("dropped");
    }
}

/// Runs `test` in a runtime of its own, on real threads. A test that hangs fails after 20 s, and
/// its thread is left running.
fn within_20_seconds(test: impl AsyncFnOnce() + Send + 'static) {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(test());
        done.send(()).unwrap();
    });
    let ended = ended.recv_timeout(Duration::from_secs(20));
    ended.expect("it hangs, or it panicked");
}

#[test]
fn records_and_their_iterator_may_enqueue_to_the_same_partition() {
    within_20_seconds(async || {
        let bed = bed(1).await;
        let orders = bed.producer().topic("orders");
        orders.send(None, Some(b"first")).await.unwrap();
        let records = (0..100).map(|_| {
            let meddling = Meddling(&orders);
            meddling.meddle("iterator");
            meddling
        });
        let sent = orders.enqueue_all(records).await;
        assert_eq!(sent.len(), 100);
        sent.all_delivered().await.unwrap();
        orders.send(None, Some(b"last")).await.unwrap();
        let values = bed.values(0);
        let count = |what| values.iter().filter(|value| *value == what).count();
        assert_eq!(count("own"), 100);
        assert_eq!((count("iterator"), count("dropped")), (100, 100));
    });
}

#[test]
fn an_iterator_that_waits_for_another_caller_of_the_partition_gets_its_record() {
    within_20_seconds(async || {
        let bed = bed(1).await;
        let orders = bed.producer().topic("orders");
        orders.send(None, Some(b"first")).await.unwrap();
        let (ask, asked) = std::sync::mpsc::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let other = orders.clone();
        let calling = std::thread::spawn(move || {
            for number in asked {
                let value = format!("other-{number}");
                let sent = other.try_enqueue(None, Some(value.as_bytes()));
                tell.send(sent.is_ok()).unwrap();
            }
        });
        let records = (0..200).map(move |number| {
            ask.send(number).unwrap();
            assert!(told.recv().unwrap());
            format!("own-{number}")
        });
        let sent = orders.enqueue_all(records).await;
        sent.all_delivered().await.unwrap();
        calling.join().unwrap();
        orders.send(None, Some(b"last")).await.unwrap();
        assert_eq!(bed.values(0).len(), 402);
    });
}

#[tokio::test(start_paused = true)]
async fn an_iterator_that_panics_leaves_the_producer_as_it_was() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let orders = producer.topic("orders");
    orders.send(None, Some(b"first")).await.unwrap();
    let failing = orders.clone();
    let task = tokio::spawn(async move {
        let records = (0..1000).map(|number: usize| {
            assert!(number < 200, "the iterator's own panic");
            number.to_string()
        });
        drop(failing.enqueue_all(records).await);
    });
    assert!(task.await.unwrap_err().is_panic());
    orders.send(None, Some(b"last")).await.unwrap();
    let values = bed.values(0);
    let between = values.len() - 2;
    assert_eq!(values[1..=between], numbers(between));
    assert!((100..=200).contains(&between), "{between}");
    producer.close(Duration::from_secs(1)).await.unwrap();
    assert_eq!(Bed::held(&producer), 0);
}

#[tokio::test(start_paused = true)]
async fn records_that_go_anywhere_and_records_with_keys_keep_their_order_in_a_partition() {
    let bed = bed(1).await;
    let producer = bed.builder().max_request_size(2048).build().unwrap();
    let orders = producer.topic("orders");
    let large = "x".repeat(3000);
    let records = (0..1000_usize).map(|number| match number % 7 {
        3 => (Some("key"), number.to_string()),
        5 if number % 70 == 40 => (None, large.clone()),
        _ => (None, number.to_string()),
    });
    let outcomes = orders.enqueue_all(records).await.await;
    let refused = |number: &usize| number % 70 == 40;
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_err(), refused(&number), "{number}");
    }
    let taken = (0..1000).filter(|number| !refused(number));
    let expected: Vec<_> = taken.map(|number| number.to_string()).collect();
    assert_eq!(bed.values(0), expected);
}

#[tokio::test(start_paused = true)]
async fn producers_of_one_client_do_not_wait_for_each_others_requests() {
    let bed = bed(1).await;
    let (first, second) = (bed.producer(), bed.producer());
    for producer in [&first, &second] {
        producer.send(record("warm")).await.unwrap();
    }
    let requests = bed.broker.journal().requests(ApiKey::Produce);
    let connections: Vec<_> = requests.iter().map(|entry| entry.connection()).collect();
    assert_eq!(requests[0].node(), requests[1].node());
    assert_ne!(connections[0], connections[1], "each has a connection");
    // A broker works on one request of a connection at a time.
    let slow = Fault::delay(Duration::from_secs(10)).on(ApiKey::Produce);
    bed.broker.faults().add(slow.times(1));
    let waiting = first.enqueue(record("slow")).await.unwrap();
    let sending = first.flush();
    let mut sending = std::pin::pin!(sending);
    let early = tokio::time::timeout(Duration::from_secs(1), &mut sending).await;
    assert!(early.is_err(), "the broker works on it");
    let began = tokio::time::Instant::now();
    second.send(record("quick")).await.unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
    sending.await.unwrap();
    waiting.await.unwrap();
    assert_eq!(bed.values(0), ["warm", "warm", "quick", "slow"]);
}
