//! The lanes of a feed, the units of order. They start together and end together.

mod batching;
mod in_order;
mod reading;
mod several;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use milena_core::{ConsumerRecord, Gauge, Order, Routes};
use tokio::runtime::Handle;

use crate::gates;
use crate::panics::caught;
use crate::queue::{BoundedQueue, KeyQueue};
use crate::reports::{routes_of, stop_lane};
use crate::routes::Driven;
use crate::source::{Feed, Lanes, Source};

use batching::BatchingLane;

/// The lanes of a handler. It starts them for each feed, over one table of routes.
pub(crate) struct RouteLanes<F, R> {
    /// The routes of the handler.
    routes: Arc<R>,
    /// The runtime of the run. Lanes are spawned on it, since a thread that adds feeds may be
    /// outside of any runtime.
    runtime: Handle,
    /// The feeds that are given to `start`.
    feeds: PhantomData<fn(F)>,
}

impl<F, R> RouteLanes<F, R> {
    /// Returns the lanes of these routes. They run on `runtime`.
    pub(crate) fn new(routes: Arc<R>, runtime: Handle) -> Self {
        Self {
            routes,
            runtime,
            feeds: PhantomData,
        }
    }
}

impl<F: Feed, R: Driven> Lanes<F> for RouteLanes<F, R> {
    fn start(&self, feed: &F) {
        gates::apply_all(feed, self.routes.routes());
        let guard = AtWorkGuard::new(feed.clone());
        let (routes, own) = (Arc::clone(&self.routes), feed.clone());
        let task = self.runtime.spawn(async move {
            let _guard = guard;
            let lanes = drive(own.clone(), Arc::clone(&routes));
            // A panic of the handler is an error for its record and does not get here. Any other
            // panic here would leave the feed without a reader.
            if let Err(error) = caught("a lane", lanes).await {
                let route = routes_of(&own, routes.routes());
                stop_lane(&own, &route, &error.at(own.place()));
            }
        });
        feed.dispatch().own_task(task.abort_handle());
    }

    fn read_gauges(&self, group: &str, sink: &mut dyn FnMut(Gauge<'_>)) {
        gates::read_gauges(self.routes.routes(), group, sink);
    }

    fn route_name(&self, route: usize) -> Arc<str> {
        let info = self.routes.routes().get(route);
        info.map_or_else(|| "".into(), |info| Arc::clone(&info.name))
    }
}

/// Processes a feed's records in the order that the rules ask for, until it is given back.
async fn drive<F: Feed, R: Driven>(feed: F, routes: Arc<R>) {
    match feed.source().rules().order {
        Order::Partition if takes_several(&*routes) => {
            BatchingLane::new(feed, routes).run().await;
        }
        Order::Partition => in_order::run(feed, routes).await,
        Order::Key(lanes) => {
            several::run(feed, routes, lanes, KeyQueue::new(lanes), hash_of_key).await;
        }
        Order::Unordered(lanes) => {
            // Kept short, so that records that wait for a free lane are not delivered yet.
            let queue = BoundedQueue::new(lanes);
            several::run(feed, routes, lanes, queue, |_| ()).await;
        }
    }
}

/// Returns true if the handler of any route takes several records at a time.
fn takes_several(routes: &impl Routes) -> bool {
    routes.routes().iter().any(|info| info.batch.is_some())
}

/// Returns the hash of a record's key.
fn hash_of_key(record: &ConsumerRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.key.hash(&mut hasher);
    hasher.finish()
}

/// Guard that counts the lanes of a feed as working.
struct AtWorkGuard<F: Feed>(F);

impl<F: Feed> AtWorkGuard<F> {
    fn new(feed: F) -> Self {
        feed.dispatch().enter();
        Self(feed)
    }
}

impl<F: Feed> Drop for AtWorkGuard<F> {
    fn drop(&mut self) {
        self.0.dispatch().leave();
    }
}
