//! Several lanes that share the records of a feed through a queue.

use std::sync::Arc;

use milena_core::ConsumerRecord;
use tokio::task::JoinSet;

use super::reading::{PlainClock, wait_for_more};
use crate::feed::Ticket;
use crate::panics::panic_of;
use crate::queue::LaneQueue;
use crate::routes::Driven;
use crate::source::{Feed, Next, Reader};
use crate::worker::{Go, Worker};

/// A delivered record, and the ticket to settle it with.
type Work = (ConsumerRecord, Ticket);

/// Processes the records of a feed in `lanes` lanes. `queue` decides which lane gets which record
/// when, by the key that `key` returns.
pub(super) async fn run<F: Feed, R: Driven, Q: LaneQueue<Work>>(
    feed: F,
    routes: Arc<R>,
    lanes: usize,
    queue: Q,
    key: impl Fn(&ConsumerRecord) -> Q::Key,
) {
    let queue = Arc::new(queue);
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        let worker = Worker::new(feed.clone(), Arc::clone(&routes));
        tasks.spawn(lane(worker, Arc::clone(&queue), feed.clone()));
    }
    tokio::select! {
        () = fill(&feed, &routes, &*queue, key) => {}
        never = panic_of(&mut tasks) => match never {},
    }
    queue.close();
    // Waits until all lanes have ended. If one panicked, its panic continues here.
    while let Some(joined) = tasks.join_next().await {
        if let Err(lane) = joined
            && let Ok(panic) = lane.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Runs one of the lanes.
async fn lane<F: Feed, R: Driven, Q: LaneQueue<Work>>(
    mut worker: Worker<F, R>,
    queue: Arc<Q>,
    feed: F,
) {
    while let Some((key, (record, ticket))) = queue.take().await {
        if feed.dispatch().is_stopping() {
            return;
        }
        let record = worker.share(record);
        if worker.process(record, ticket).await == Go::Away {
            return;
        }
        worker.release();
        queue.done(key);
        worker.yield_in_turn().await;
    }
}

/// Reads records and passes them to the lanes, until the feed is given back or its lane has
/// stopped.
async fn fill<F: Feed, R: Driven, Q: LaneQueue<Work>>(
    feed: &F,
    routes: &Arc<R>,
    queue: &Q,
    key: impl Fn(&ConsumerRecord) -> Q::Key,
) {
    let mut reader = feed.reader();
    loop {
        match reader.next(&mut PlainClock) {
            Next::Record(record, ticket, _) => {
                let key = key(&record);
                tokio::select! {
                    biased;
                    () = queue.give(key, (record, ticket)) => {}
                    () = feed.dispatch().stopped() => return,
                }
            }
            other => {
                if !wait_for_more(feed, routes, other, &mut PlainClock).await {
                    return;
                }
            }
        }
    }
}
