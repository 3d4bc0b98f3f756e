//! A route as one lane holds it, with its own clone of the service and the recorder of its
//! attempts.

use std::sync::Arc;

use milena_core::{
    BatchLane, ConsumerRecord, ErrorClass, Extensions, Order, Recording, RouteLabels,
    RouteRecorder, Routes, WallClock,
};
use tokio::time::Instant;

use super::Worker;
use crate::panics::named;
use crate::verdict::Patience;

/// A route as one lane holds it.
pub(super) struct Line<S> {
    /// This lane's clone of the route's service.
    pub(super) service: S,
    /// Records attempts and settled records. `None` without a recorder.
    pub(super) recorder: Option<Arc<dyn RouteRecorder>>,
    /// True if a layer of the stack records the attempts. The worker then does not.
    pub(super) is_recorded: bool,
    /// Extensions of each record. They hold the recorder and the clock for layers that ask for
    /// them.
    pub(super) extensions: Extensions,
    /// Limits of the retries that the worker makes.
    pub(super) patience: Patience,
}

impl<R: Routes> Worker<R> {
    /// Returns the lane's hold of a route. The first record of the route creates it.
    pub(super) fn line(&mut self, route: usize, record: &ConsumerRecord) -> &mut Line<R::Service> {
        if self.lines.len() <= route {
            self.lines.resize_with(route + 1, || None);
        }
        let (core, routes) = (&self.core, &self.routes);
        #[expect(clippy::indexing_slicing, reason = "made that long above")]
        self.lines[route].get_or_insert_with(|| {
            let info = routes.routes().get(route);
            let recorder = core.settings.recorder.as_ref().map(|recorder| {
                let name = info.map_or_else(|| "handler".into(), |info| Arc::clone(&info.name));
                let labels = RouteLabels::new(core.settings.group_name(), &record.topic, name);
                named(RECORDER, || recorder.route(&labels))
            });
            let is_recorded = info.is_some_and(|info| info.records_attempts);
            let mut extensions = Extensions::new();
            if let Some(recorder) = recorder.as_ref().filter(|_| is_recorded) {
                extensions.insert(Recording(Arc::clone(recorder)));
            }
            if info.is_some_and(|info| info.asks_for_clock) {
                let clock = Arc::clone(&core.settings.clock);
                extensions.insert(WallClock::new(move || clock()));
            }
            // With `Order::Partition` a lane hands over several records together and gives each
            // one a seat, so it needs no `BatchLane`.
            let gathers = core.settings.order != Order::Partition;
            if gathers && info.is_some_and(|info| info.batch.is_some()) {
                extensions.insert(BatchLane::new());
            }
            Line {
                service: named("a route's service, while it was cloned for a lane,", || {
                    routes.service(route)
                }),
                recorder,
                is_recorded,
                extensions,
                patience: Patience {
                    attempts: core.settings.max_attempts,
                    backoff: core.settings.retry_backoff,
                    layered: info.is_some_and(|info| info.dead_letters || info.retries),
                },
            }
        })
    }

    /// Records an attempt that began at this time, unless a layer records attempts.
    pub(super) fn record_attempt(
        &self,
        route: usize,
        attempt: u32,
        began: Option<Instant>,
        end: Result<&'static str, ErrorClass>,
    ) {
        if let Some(Some(line)) = self.lines.get(route)
            && let (Some(recorder), false, Some(began)) = (&line.recorder, line.is_recorded, began)
        {
            named(RECORDER, || {
                recorder.attempt(attempt, began.elapsed(), end);
            });
        }
    }

    /// Drops the service after a panic, which may have left it in a broken state. The next record
    /// gets a new clone.
    pub(super) fn distrust(&mut self, route: usize, end: Result<&'static str, ErrorClass>) {
        if end == Err(ErrorClass::Panic)
            && let Some(slot) = self.lines.get_mut(route)
        {
            *slot = None;
        }
    }
}

/// Name of the recorder in error texts.
pub(super) const RECORDER: &str = "the recorder";
