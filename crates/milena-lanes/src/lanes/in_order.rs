//! One lane that processes the records of a feed one after the other.

use std::sync::Arc;

use super::reading::wait_for_more;
use crate::routes::Driven;
use crate::source::{Feed, Next, Reader};
use crate::worker::{Go, Worker};

/// Processes the records of a feed in their order, until it is given back or its lane has stopped.
pub(super) async fn run<F: Feed, R: Driven>(feed: F, routes: Arc<R>) {
    let mut worker = Worker::new(feed.clone(), Arc::clone(&routes));
    let mut reader = feed.reader();
    loop {
        match reader.next(&mut worker) {
            Next::Record(record, ticket, at) => {
                // The record was delivered just now, so there is no need to ask if it still counts.
                let record = worker.share(record);
                if worker.process_shared(&record, ticket, Some(at)).await == Go::Away {
                    return;
                }
                worker.keep(record);
                worker.yield_in_turn().await;
            }
            other => {
                if !wait_for_more(&feed, &routes, other, &mut worker).await {
                    return;
                }
            }
        }
    }
}
