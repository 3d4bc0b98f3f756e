//! Clocks of the user, which run while no lock of the producer is held.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use milena_core::Timestamp;

use crate::Topic;
use crate::tests::sending::{producer, record};
use crate::tests::stub::Stub;

/// Enqueues in every way that the producer has, 100 records each.
async fn enqueue_in_every_way(stub: &Arc<Stub>) {
    let own: Arc<OnceLock<Topic>> = Arc::default();
    let (inside, calls) = (AtomicBool::new(false), Arc::new(AtomicUsize::new(0)));
    let clock = {
        let (own, calls) = (own.clone(), calls.clone());
        move || {
            if let Some(topic) = own.get()
                && !inside.swap(true, Ordering::Relaxed)
            {
                drop(topic.try_enqueue(None, Some(b"clock")).unwrap());
                calls.fetch_add(1, Ordering::Relaxed);
                inside.store(false, Ordering::Relaxed);
            }
            Timestamp::now()
        }
    };
    let producer = producer(stub, |draft| draft.clock = Arc::new(clock));
    producer.partitions_for("orders").await.unwrap();
    let topic = producer.topic("orders");
    drop(own.set(topic.clone()));
    for number in 0..100 {
        drop(producer.enqueue(record(number)).await.unwrap());
        drop(topic.enqueue(None, Some(b"v")).await.unwrap());
        drop(topic.try_enqueue(None, Some(b"v")).unwrap());
        producer.enqueue_then(record(number), drop).await.unwrap();
    }
    drop(topic.enqueue_all(["v"; 100]).await);
    producer.close(Duration::from_secs(5)).await.unwrap();
    let calls = calls.load(Ordering::Relaxed);
    assert!(calls > 10, "{calls}");
    assert_eq!(stub.values(0).len(), 500 + calls);
}

#[test]
fn a_clock_may_enqueue_to_the_producer_that_it_stamps_records_for() {
    let (done, end) = mpsc::channel();
    // A lock that the clock waited for would never be released, so the test gives up after a while.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(enqueue_in_every_way(&Stub::new(1)));
        done.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(30)).unwrap();
}
