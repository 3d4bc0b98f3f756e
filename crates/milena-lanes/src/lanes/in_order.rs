//! One lane that processes the records of a feed one after the other.

use std::sync::Arc;

use super::reading::wait_for_more;
use crate::routes::Driven;
use crate::source::{Feed, Next, Reader};
use crate::worker::{Go, Worker};

/// Processes the records of a feed in their order, until it is given back or its lane has stopped.
pub(super) async fn run<F: Feed, R: Driven>(feed: F, routes: Arc<R>) {
    let mut worker = Worker::new(feed.clone(), routes);
    let mut reader = feed.reader();
    loop {
        match reader.next(&mut worker) {
            Next::Record(record, ticket, at) => {
                if worker.process(record, ticket, Some(at)).await == Go::Away {
                    return;
                }
                worker.yield_in_turn().await;
            }
            other => {
                if !wait_for_more(&feed, other, &mut worker).await {
                    return;
                }
            }
        }
    }
}
