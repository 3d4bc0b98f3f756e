//! The pauses of a task that reads a feed, while there is no record for it.

use std::sync::Arc;

use milena_core::Routes;
use tokio::time::Instant;

use crate::feed::PauseHolder;
use crate::reports::{routes_of, stop_lane};
use crate::source::{Feed, Next, Turn};

/// Waits until `reader.next` may return a record, after it returned something else. Returns false
/// if no more records come.
pub(super) async fn wait_for_more<F: Feed>(
    feed: &F,
    routes: &Arc<impl Routes>,
    next: Next,
    turn: &mut impl Turn,
) -> bool {
    match next {
        Next::Record(..) => true,
        Next::Empty => {
            turn.rest();
            // The feed has nothing that is ready. Until more comes it waits for nothing else.
            feed.has_moved();
            feed.readable().await;
            true
        }
        Next::Full(window) => {
            turn.rest();
            wait_for_room(feed, window).await;
            true
        }
        Next::Over => {
            turn.rest();
            false
        }
        Next::Failed(error) => {
            turn.rest();
            stop_lane(feed, &routes_of(feed, routes.routes()), &error);
            false
        }
    }
}

/// Pauses the feed until fewer records wait behind a slow one. Other feeds continue.
async fn wait_for_room<F: Feed>(feed: &F, window: usize) {
    let reason = format!("{window} records are delivered, and the oldest of them is not done");
    feed.hold(&PauseHolder::Window, &reason.into());
    feed.has_room().await;
    feed.let_go(&PauseHolder::Window);
}

/// The clock of a task that reads a feed and processes nothing itself.
pub(super) struct PlainClock;

impl Turn for PlainClock {
    fn now(&mut self) -> Instant {
        Instant::now()
    }

    fn rest(&mut self) {}
}
