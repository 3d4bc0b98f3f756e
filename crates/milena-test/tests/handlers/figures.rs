//! The attempts and records that a recorder counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use milena_client::core::{
    Attempt, ErrorClass, Outcome, ProcessError, Recorder, RouteLabels, RouteRecorder, Routes,
};
use milena_client::middleware::{MetricsLayer, Stack};
use milena_test::Kit;
use parking_lot::Mutex;

const SECOND: Duration = Duration::from_secs(1);

/// A recorder that keeps the times of attempts and the times of records.
#[derive(Clone, Default)]
struct Figures(Arc<Mutex<(Vec<Duration>, Vec<Duration>)>>);

impl Recorder for Figures {
    fn route(&self, _: &RouteLabels) -> Arc<dyn RouteRecorder> {
        Arc::new(self.clone())
    }
}

impl RouteRecorder for Figures {
    fn attempt(&self, _: u32, elapsed: Duration, _: Result<&'static str, ErrorClass>) {
        self.0.lock().0.push(elapsed);
    }

    fn record(&self, elapsed: Duration, _: &'static str) {
        self.0.lock().1.push(elapsed);
    }
}

async fn told<R>(stack: impl FnOnce(&Kit) -> R) -> (Vec<Duration>, Vec<Duration>)
where
    R: Routes,
    R::Service: tower_service::Service<
            milena_client::core::Incoming,
            Response = Outcome,
            Error = milena_client::core::BoxError,
            Future: Send + 'static,
        >,
{
    let figures = Figures::default();
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    let stack = stack(&kit);
    let recorder = Arc::new(figures.clone());
    let running = kit.run_with("billing", ["orders"], stack, |consumer| {
        consumer.recorder(recorder)
    });
    let running = running.unwrap();
    kit.send("orders", "k", "v").await.unwrap();
    kit.until_committed("billing", "orders", 1).await;
    running.stop().await.unwrap();
    figures.0.lock().clone()
}

#[tokio::test(start_paused = true)]
async fn the_standard_stack_tells_of_each_attempt_without_the_waits_between_them() {
    let handler = async |Attempt(attempt): Attempt| match attempt {
        4 => Ok(()),
        _ => Err(ProcessError::transient("not yet")),
    };
    let (attempts, records) = told(|_| Stack::standard().handler(handler)).await;
    assert_eq!((attempts.len(), records.len()), (4, 1));
    assert!(
        attempts.iter().sum::<Duration>() < SECOND / 10,
        "{attempts:?}"
    );
    assert!(records.iter().sum::<Duration>() > SECOND / 2, "{records:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_held_was_neither_tried_nor_slow() {
    for layered in [true, false] {
        let (attempts, records) = told(|kit| {
            let until = kit.now().plus(300 * SECOND);
            let held = Arc::new(AtomicBool::new(false));
            let stack = Stack::new().named(if layered { "layered" } else { "plain" });
            let handler = move || {
                let first = !held.swap(true, Ordering::Relaxed);
                async move {
                    match first {
                        true => Outcome::Hold(until),
                        false => Outcome::Ack,
                    }
                }
            };
            // A router gives both stacks the same type.
            match layered {
                true => milena_client::middleware::Router::new()
                    .route("orders", stack.layer(MetricsLayer::new()).handler(handler)),
                false => {
                    milena_client::middleware::Router::new().route("orders", stack.handler(handler))
                }
            }
        })
        .await;
        assert_eq!((attempts.len(), records.len()), (1, 1), "{layered}");
        assert!(records.iter().sum::<Duration>() < SECOND, "{records:?}");
    }
}
