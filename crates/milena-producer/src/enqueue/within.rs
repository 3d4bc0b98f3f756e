//! Waits of callers that run on another executor than the producer.

use std::future::{Future, poll_fn};
use std::pin::pin;

use tokio::runtime::Handle;

/// Polls `future` within `runtime`, whichever executor polls this. Timers and tasks need a runtime,
/// and another executor may run the caller.
pub(crate) async fn within<F: Future>(runtime: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = runtime.enter();
        future.as_mut().poll(cx)
    })
    .await
}
