//! Stacks and routers of handlers that capture static values can run in a task of their own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use milena_client::core::{Offset, Text};
use milena_client::middleware::batch::Batching;
use milena_client::middleware::{RecoveryLayer, RetryLayer, Router, Stack, TimeoutLayer};
use milena_test::Kit;

static SEEN: AtomicUsize = AtomicUsize::new(0);

#[tokio::test(start_paused = true)]
async fn a_router_of_handlers_that_capture_static_values_is_spawned_and_runs() {
    let kit = Kit::builder().topic("orders", 1).topic("bills", 1);
    let kit = kit.start().await.unwrap();
    for n in 0..10 {
        kit.send("orders", "k", n.to_string()).await.unwrap();
        kit.send("bills", "k", n.to_string()).await.unwrap();
    }
    let (seen, kind): (&'static AtomicUsize, &'static str) = (&SEEN, "bill");
    let consumer = kit.client().consumer("store").topics(["orders", "bills"]);
    let consumer = consumer
        .commit_interval(Duration::from_millis(100))
        .build()
        .unwrap();
    let stop = consumer.shutdown_handle();
    let running = tokio::spawn(async move {
        let count = move |texts: Vec<Text>| async move {
            seen.fetch_add(texts.len(), Ordering::Relaxed);
        };
        let orders = Stack::new()
            .layer(RetryLayer::fixed(Duration::from_secs(1)))
            .layer(TimeoutLayer::new(Duration::from_secs(1)))
            .layer(RecoveryLayer::new())
            .batch(Batching::up_to(10), count);
        let bills = Stack::standard().handler(move |_: Offset| async move {
            assert_eq!(kind, "bill");
            seen.fetch_add(1, Ordering::Relaxed);
        });
        let router = Router::new().route("orders", orders).route("bills", bills);
        consumer.run(router).await
    });
    kit.until_committed("store", "orders", 10).await;
    kit.until_committed("store", "bills", 10).await;
    stop.shutdown();
    running.await.unwrap().unwrap();
    assert_eq!(SEEN.load(Ordering::Relaxed), 20);
}
