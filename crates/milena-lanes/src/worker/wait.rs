//! Waits of a lane, for a time or for an answer that takes long.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use milena_core::{Offset, Timestamp};
use tokio::time::{Instant, sleep, sleep_until};

use crate::feed::PauseHolder;
use crate::reports::{Stuck, report_stuck};
use crate::source::{Feed, Source};

/// Waits for this time. Returns false if the feed is given back meanwhile.
pub(super) async fn wait_or_stop<F: Feed>(feed: &F, time: Duration) -> bool {
    tokio::select! {
        biased;
        () = feed.dispatch().stopped() => false,
        () = sleep(time) => true,
    }
}

/// Waits until this time with the feed paused. Returns false if the feed is given back meanwhile.
pub(super) async fn hold<F: Feed>(feed: &F, until: Timestamp) -> bool {
    let by = PauseHolder::hold();
    let now = feed.source().rules().now();
    // A clock that stands still, or a time in the past, must not make the lane spin.
    let time = until.since(now).max(Duration::from_millis(1));
    let reason = format!("the handler holds its record for {time:?}");
    feed.hold(&by, &reason.into());
    let went_by = wait_or_stop(feed, time).await;
    feed.let_go(&by);
    went_by
}

/// Awaits a handler's answer, and reports the handler whenever another `max_processing_time` has
/// passed. The flag is true if the answer was there at once.
///
/// `route` and `offset` name the record, or the first one of several.
pub(crate) async fn watched<F: Feed, T>(
    feed: &F,
    route: &str,
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
    let limit = feed.source().rules().max_processing_time;
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
            feed.has_moved();
        }
        let answer = match answer {
            Some(answer) if !late => return (answer, false),
            answer => answer,
        };
        let stuck = Stuck {
            route,
            offset,
            elapsed: began.elapsed(),
            first: reported == 1 && answer.is_none(),
        };
        report_stuck(feed, stuck);
        if let Some(answer) = answer {
            return (answer, false);
        }
    }
}

/// Time from which on the end of a handler counts as progress of its feed.
const LONG: Duration = Duration::from_secs(1);
