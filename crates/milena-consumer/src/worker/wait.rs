//! Waits of a lane, for a time or for an answer that takes long.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use milena_core::{Offset, Routes, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};

use crate::core::Core;
use crate::partition::Partition;
use crate::pauses::Holder;

/// Waits for this time. Returns false if the partition is given back meanwhile.
pub(crate) async fn wait_or_stop(partition: &Partition, time: Duration) -> bool {
    tokio::select! {
        biased;
        () = partition.stopped() => false,
        () = sleep(time) => true,
    }
}

/// Waits until this time with the partition paused. Returns false if the partition is given back
/// meanwhile.
pub(crate) async fn hold(core: &Core, partition: &Partition, until: Timestamp) -> bool {
    let by = Holder::apart("hold");
    let now = core.settings.now();
    // A clock that stands still, or a time in the past, must not make the lane spin.
    let time = until.since(now).max(Duration::from_millis(1));
    let reason = format!("the handler holds its record for {time:?}");
    core.hold(partition, &by, &reason.into());
    let went_by = wait_or_stop(partition, time).await;
    core.let_go(partition, &by);
    went_by
}

/// Awaits a handler's answer, and reports the handler whenever another `max_processing_time` has
/// passed. The flag is true if the answer was there at once.
pub(crate) async fn watched<R: Routes, T>(
    core: &Core,
    partition: &Partition,
    routes: &R,
    route: usize,
    offset: Offset,
    calling: impl Future<Output = T>,
) -> (T, bool) {
    let mut calling = std::pin::pin!(calling);
    // Most answers are there at once and need no timer.
    let first = std::future::poll_fn(|cx| Poll::Ready(calling.as_mut().poll(cx))).await;
    if let Poll::Ready(answer) = first {
        return (answer, true);
    }
    let began = Instant::now();
    let limit = core.settings.max_processing_time;
    let mut reported = 0_u32;
    loop {
        reported = reported.saturating_add(1);
        let answer = tokio::select! {
            biased;
            answer = &mut calling => Some(answer),
            () = sleep_until(began + limit.saturating_mul(reported)) => None,
        };
        // A handler that blocks its thread delays this timer as well. It is reported after its
        // answer, and its lane is not stopped.
        let late = began.elapsed() >= limit.saturating_mul(reported);
        if answer.is_some() && began.elapsed() >= LONG {
            partition.has_moved();
        }
        let answer = match answer {
            Some(answer) if !late => return (answer, false),
            answer => answer,
        };
        let name = routes
            .routes()
            .get(route)
            .map(|info| Arc::clone(&info.name));
        let name = name.as_deref().unwrap_or_default();
        let stuck = reported == 1 && answer.is_none();
        core.handler_stuck(partition, name, offset, began.elapsed(), stuck);
        if let Some(answer) = answer {
            return (answer, false);
        }
    }
}

/// Time from which on the end of a handler counts as progress of its partition.
const LONG: Duration = Duration::from_secs(1);
