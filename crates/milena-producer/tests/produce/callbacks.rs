//! Callbacks with the outcomes of records.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use milena_broker::{ApiKey, Fault};
use milena_core::{ErrorCode, ErrorKind};
use parking_lot::Mutex;
use tokio::task::unconstrained;

use crate::bed::{bed, numbers, record};

/// Runs a future on this thread, which has no tokio runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn callbacks_are_called_in_the_order_of_the_partition_and_flush_waits_for_them() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let seen = Arc::new(Mutex::new(Vec::new()));
    for number in numbers(1000) {
        let seen = seen.clone();
        let callback = move |outcome: milena_core::Result<milena_core::RecordMetadata>| {
            seen.lock().push(outcome.unwrap().offset.unwrap().to_wire());
        };
        producer
            .enqueue_then(record(&number), callback)
            .await
            .unwrap();
    }
    producer.flush().await.unwrap();
    assert_eq!(*seen.lock(), (0..1000).collect::<Vec<i64>>());
}

#[tokio::test(start_paused = true)]
async fn a_callback_learns_why_a_record_failed() {
    let bed = bed(1).await;
    let fault = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(ApiKey::Produce);
    bed.broker.faults().add(fault);
    let producer = bed.producer();
    let (tell, told) = tokio::sync::oneshot::channel();
    let callback = move |outcome| drop(tell.send(outcome));
    producer.enqueue_then(record("v"), callback).await.unwrap();
    let error = told.await.unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_refused_at_the_call_calls_nothing() {
    let bed = bed(1).await;
    let producer = bed.builder().max_request_size(2048).build().unwrap();
    let called = Arc::new(AtomicBool::new(false));
    let flag = called.clone();
    let refused = producer
        .enqueue_then(record(&"x".repeat(3000)), move |_| {
            flag.store(true, Ordering::SeqCst);
        })
        .await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::RecordTooLarge);
    producer.close(Duration::from_secs(5)).await.unwrap();
    assert!(!called.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_keeps_no_other_from_being_called() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let called = Arc::new(AtomicUsize::new(0));
    for number in 0..10 {
        let called = called.clone();
        let callback = move |_| {
            called.fetch_add(1, Ordering::SeqCst);
            assert!(number != 3, "one callback panics");
        };
        producer.enqueue_then(record("v"), callback).await.unwrap();
    }
    producer.close(Duration::from_secs(5)).await.unwrap();
    assert_eq!(called.load(Ordering::SeqCst), 10);
}

#[tokio::test(start_paused = true)]
async fn records_that_fail_at_once_wait_for_slow_callbacks_instead_of_piling_up() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("fetches the metadata")).await.unwrap();
    let fault = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(ApiKey::Produce);
    bed.broker.faults().add(fault.always());
    let (called, mut enqueued) = (Arc::new(AtomicUsize::new(0)), 0);
    // No other task runs between two polls, so no callback is called.
    let mut nobody = Context::from_waker(Waker::noop());
    loop {
        let called = called.clone();
        let callback = move |_| {
            called.fetch_add(1, Ordering::SeqCst);
        };
        let entering = unconstrained(producer.enqueue_then(record("v"), callback));
        match pin!(entering).as_mut().poll(&mut nobody) {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => break,
        }
        enqueued += 1;
    }
    assert_eq!(enqueued, 65_536);
    producer.flush().await.unwrap();
    assert_eq!(called.load(Ordering::SeqCst), 65_536);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callbacks_of_a_partition_keep_its_order_though_several_threads_enqueue() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let threads = (0..4).map(|_| {
        let (producer, seen) = (producer.clone(), seen.clone());
        tokio::spawn(async move {
            for _ in 0..20_000 {
                let seen = seen.clone();
                let callback = move |outcome: milena_core::Result<milena_core::RecordMetadata>| {
                    seen.lock().push(outcome.unwrap().offset.unwrap().to_wire());
                };
                let entered = producer.enqueue_then(record("v"), callback).await;
                entered.unwrap();
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.await.unwrap();
    }
    producer.flush().await.unwrap();
    let seen = seen.lock();
    let early = seen.iter().zip(0..).find(|(offset, at)| *offset != at);
    assert_eq!((early, seen.len()), (None, 80_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thread_outside_of_the_runtime_may_wait_and_have_callbacks() {
    let bed = bed(1).await;
    let builder = bed.builder().buffer_memory(4 << 10).batch_size(2 << 10);
    let producer = builder.build().unwrap();
    let called = Arc::new(AtomicUsize::new(0));
    let (count, outside) = (called.clone(), producer.clone());
    let thread = std::thread::spawn(move || {
        block_on(async move {
            // The first record waits for the metadata, the others for memory.
            for number in numbers(200) {
                let count = count.clone();
                let callback = move |outcome: milena_core::Result<_>| {
                    count.fetch_add(usize::from(outcome.is_ok()), Ordering::SeqCst);
                };
                let record = record(&number.repeat(200));
                outside.enqueue_then(record, callback).await.unwrap();
            }
            outside.partitions_for("orders").await.unwrap();
            outside.enqueue(record("x")).await.unwrap().await.unwrap();
            let topic = outside.topic("orders");
            topic.send(None, Some(b"y")).await.unwrap();
            outside.flush().await.unwrap();
            outside.close(Duration::from_secs(20)).await.unwrap();
        });
    });
    tokio::task::spawn_blocking(|| thread.join().unwrap())
        .await
        .unwrap();
    assert_eq!(called.load(Ordering::SeqCst), 200);
    assert_eq!(bed.values(0).len(), 202);
}
