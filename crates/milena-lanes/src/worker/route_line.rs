//! The routes as one lane holds them, each with its own clone of the service and the recorder of
//! its attempts.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    BatchLane, BatchSize, ConsumerRecord, ErrorClass, Extensions, Order, Recording, RouteInfo,
    RouteLabels, RouteRecorder, Routes, WallClock,
};
use tokio::time::Instant;

use super::verdict::Patience;
use crate::panics::named;
use crate::rules::Rules;
use crate::settled::Settled;

/// The routes of a handler as one lane holds them.
pub(crate) struct RouteLines<R: Routes> {
    /// The routes, shared by all lanes.
    routes: Arc<R>,
    /// The lane's hold of each route, by route index. `None` until the first record of the route,
    /// and after a panic.
    lines: Vec<Option<RouteLine<R::Service>>>,
}

/// A route as one lane holds it.
pub(crate) struct RouteLine<S> {
    /// This lane's clone of the route's service.
    pub(super) service: S,
    /// Extensions of each record. They hold the recorder and the clock for layers that ask for
    /// them.
    pub(super) extensions: Extensions,
    /// The name of the route.
    pub(super) name: Arc<str>,
    /// Limits of the retries that the worker makes.
    pub(super) patience: Patience,
    /// Records attempts and settled records. `None` without a recorder.
    recorder: Option<Arc<dyn RouteRecorder>>,
    /// True if a layer of the stack records the attempts. The worker then does not.
    is_recorded: bool,
}

impl<R: Routes> RouteLines<R> {
    /// Returns the lines of a lane that has used no route yet.
    pub(super) fn new(routes: Arc<R>) -> Self {
        let lines = routes.routes().iter().map(|_| None).collect();
        Self { routes, lines }
    }

    /// Returns the index of the record's route.
    pub(super) fn select(&self, record: &ConsumerRecord) -> usize {
        let last = self.lines.len().saturating_sub(1);
        let select = || self.routes.select(record);
        named("a condition of the routes", select).min(last)
    }

    /// Returns the description of a route.
    pub(super) fn info(&self, route: usize) -> Option<&RouteInfo> {
        self.routes.routes().get(route)
    }

    /// Returns the name of a route.
    pub(super) fn name(&self, route: usize) -> &str {
        self.info(route).map_or("", |info| &*info.name)
    }

    /// Returns the batch size of a route. `None` if the route takes single records.
    pub(super) fn batch_size(&self, route: usize) -> Option<BatchSize> {
        self.info(route)?.batch
    }

    /// Returns the lane's hold of a route. The first record of the route creates it.
    #[inline]
    pub(super) fn line(
        &mut self,
        route: usize,
        record: &ConsumerRecord,
        rules: &Rules,
    ) -> &mut RouteLine<R::Service> {
        if self.lines.len() <= route {
            self.lines.resize_with(route + 1, || None);
        }
        let routes = &self.routes;
        #[expect(clippy::indexing_slicing, reason = "made that long above")]
        self.lines[route].get_or_insert_with(|| RouteLine::new(&**routes, route, record, rules))
    }

    /// Replaces the service of a route by a new clone.
    pub(super) fn renew(&mut self, route: usize) {
        if let Some(Some(line)) = self.lines.get_mut(route) {
            line.service = self.routes.service(route);
        }
    }

    /// Drops the service of a route after a panic, which may have left it in a broken state. The
    /// next record gets a new clone.
    pub(super) fn drop_broken(&mut self, route: usize) {
        if let Some(slot) = self.lines.get_mut(route) {
            *slot = None;
        }
    }
}

impl<S: Clone + Send + 'static> RouteLine<S> {
    /// Returns a lane's hold of a route. `record` is its first record, whose topic labels the
    /// figures.
    #[cold]
    fn new<R>(routes: &R, route: usize, record: &ConsumerRecord, rules: &Rules) -> Self
    where
        R: Routes<Service = S>,
    {
        let info = routes.routes().get(route);
        let name = info.map_or_else(|| "handler".into(), |info| Arc::clone(&info.name));
        let recorder = rules.recorder.as_ref().map(|recorder| {
            let group = Arc::clone(&rules.group);
            let labels = RouteLabels::new(group, &record.topic, Arc::clone(&name));
            named(RECORDER, || recorder.route(&labels))
        });
        let is_recorded = info.is_some_and(|info| info.records_attempts);
        let mut extensions = Extensions::new();
        if let Some(recorder) = recorder.as_ref().filter(|_| is_recorded) {
            extensions.insert(Recording(Arc::clone(recorder)));
        }
        if info.is_some_and(|info| info.asks_for_clock) {
            let clock = Arc::clone(&rules.clock);
            extensions.insert(WallClock::new(move || clock()));
        }
        // With `Order::Partition` a lane hands over several records together and gives each one a
        // seat, so it needs no `BatchLane`.
        let gathers = rules.order != Order::Partition;
        if gathers && info.is_some_and(|info| info.batch.is_some()) {
            extensions.insert(BatchLane::new());
        }
        Self {
            service: named("a route's service, while it was cloned for a lane,", || {
                routes.service(route)
            }),
            extensions,
            name,
            patience: Patience {
                attempts: rules.max_attempts,
                backoff: rules.retry_backoff,
                layered: info.is_some_and(|info| info.dead_letters || info.retries),
            },
            recorder,
            is_recorded,
        }
    }

    /// Returns true if attempts and records are recorded, so that their times are needed.
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        self.recorder.is_some()
    }

    /// Records an attempt that began at this time, unless a layer records attempts.
    pub(super) fn record_attempt(
        &self,
        attempt: u32,
        began: Option<Instant>,
        end: Result<&'static str, ErrorClass>,
    ) {
        if let (Some(recorder), false, Some(began)) = (&self.recorder, self.is_recorded, began) {
            named(RECORDER, || {
                recorder.attempt(attempt, began.elapsed(), end);
            });
        }
    }

    /// Records a settled record that took this time. `at_once` is true if its first attempt settled
    /// it, which a recorder takes as one measurement.
    pub(super) fn record_settled(&self, elapsed: Duration, settled: Settled, at_once: bool) {
        let outcome = settled.name();
        match (&self.recorder, self.is_recorded) {
            (Some(recorder), false) if at_once => named(RECORDER, || {
                recorder.settled_at_once(elapsed, outcome);
            }),
            (Some(recorder), _) => named(RECORDER, || recorder.record(elapsed, outcome)),
            (None, _) => {}
        }
    }
}

/// Name of the recorder in error texts.
const RECORDER: &str = "the recorder";
