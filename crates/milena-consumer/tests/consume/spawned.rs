//! A consumer's run can be spawned on any runtime thread, whatever its handler captures.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use milena_consumer::{AssignedConsumer, Consumer};
use milena_core::{Key, Offset, Outcome, ProcessError, Text};

/// Requires the same bounds as `tokio::spawn`.
fn spawned(future: impl Future<Output: Send> + Send + 'static) {
    drop(future);
}

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Only compiled, never called. The bounds are the test.
#[expect(dead_code, reason = "the compiler runs this test")]
fn a_run_can_be_spawned(consumer: impl Fn() -> Consumer, assigned: impl Fn() -> AssignedConsumer) {
    let count: &'static AtomicU32 = &COUNT;
    let one = consumer();
    let handler = move |_: Offset| async move {
        count.fetch_add(1, Ordering::Relaxed);
    };
    spawned(async move { one.run(handler).await });

    let (one, name) = (consumer(), "orders");
    spawned(async move {
        one.run(move |Key(key): Key, Text(text): Text| async move {
            let known = key == name && text.len() as u32 > count.load(Ordering::Relaxed);
            Ok::<_, ProcessError>(if known {
                Outcome::Ack
            } else {
                Outcome::skip(name)
            })
        })
        .await
    });

    let one = consumer();
    spawned(async move {
        let end = async move { count.fetch_add(1, Ordering::Relaxed) };
        one.run_until(handler, end).await
    });

    let one = assigned();
    spawned(async move { one.run(handler).await });
    let (one, shared) = (Arc::new(assigned()), Arc::new(count));
    spawned(async move {
        let shared = &*shared;
        let handler = {
            let count: &'static AtomicU32 = shared;
            move |offset: Offset| async move {
                count.store(offset.to_wire() as u32, Ordering::Relaxed);
            }
        };
        let uncaptured = async |_: Offset| ();
        one.run(uncaptured).await?;
        one.run_until(handler, async {}).await
    });
}
