//! The metrics of handlers. Each lane counts in cells of its own, and a scrape adds them up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorClass, RouteLabels, RouteRecorder};
use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::bound::{Limit, OVERFLOW};
use crate::buckets::SECONDS;
use crate::cells::{Cells, DEAD_LETTERED, ENDS, Sum, Totals};

/// The metrics of handlers. A clone shares them.
#[derive(Clone)]
pub(crate) struct Processing(Arc<ProcessingState>);

/// The state that all clones and all lanes share.
struct ProcessingState {
    /// The bound on routes, and the constant labels.
    limit: Limit,
    /// `milena_process_attempt_seconds`.
    attempts: Desc,
    /// `milena_process_record_seconds`.
    records: Desc,
    /// `milena_process_retries_total`.
    retries: Desc,
    /// `milena_process_dead_letters_total`.
    dead_letters: Desc,
    /// The routes seen so far, at most `limit.values` and one for overflow. Locked when a lane
    /// begins or ends and for the time of a scrape, never for a record.
    routes: Mutex<BTreeMap<Key, Route>>,
}

/// Group, route and topic, in the order of the labels' names.
type Key = [Box<str>; 3];

/// The lanes of one route.
#[derive(Default)]
struct Route {
    /// The sums of lanes that have ended.
    ended: Totals,
    /// The cells of lanes that are running.
    live: Vec<Arc<Cells>>,
}

impl Processing {
    pub(crate) fn new(limit: &Limit) -> prometheus::Result<Self> {
        let desc = |name: &str, help: &str, labels: &[&str]| {
            let labels = labels.iter().map(ToString::to_string).collect();
            let name = format!("milena_process_{name}");
            Desc::new(name, help.to_owned(), labels, limit.constant.clone())
        };
        Ok(Self(Arc::new(ProcessingState {
            limit: limit.clone(),
            attempts: desc(
                "attempt_seconds",
                "How long an attempt of a handler took.",
                &["group", "outcome", "route", "topic"],
            )?,
            records: desc(
                "record_seconds",
                "From a record's first attempt to its settling.",
                &["group", "outcome", "route", "topic"],
            )?,
            retries: desc(
                "retries_total",
                "Attempts after a record's first.",
                &["group", "route", "topic"],
            )?,
            dead_letters: desc(
                "dead_letters_total",
                "Records that became dead letters.",
                &["group", "route", "topic"],
            )?,
            routes: Mutex::default(),
        })))
    }

    /// Makes the cells of one lane of a route.
    pub(crate) fn handle(&self, labels: &RouteLabels) -> Arc<dyn RouteRecorder> {
        let key = [&*labels.group, &*labels.route, labels.topic.as_str()].map(Box::from);
        let mut routes = self.0.routes.lock();
        let key = if routes.contains_key(&key) || routes.len() < self.0.limit.values {
            key
        } else {
            self.0.limit.overflow.inc();
            [OVERFLOW; 3].map(Box::from)
        };
        let cells = Arc::new(Cells::default());
        let route = routes.entry(key.clone()).or_default();
        route.live.push(Arc::clone(&cells));
        Arc::new(Handle {
            cells,
            key,
            processing: self.clone(),
        })
    }
}

/// The handle of one lane on a route's metrics.
struct Handle {
    /// The lane's own counters, which `Route::live` holds too.
    cells: Arc<Cells>,
    /// The route, or the overflow key past the bound.
    key: Key,
    /// The metrics that the lane's sums go to in the end.
    processing: Processing,
}

impl RouteRecorder for Handle {
    fn attempt(&self, attempt: u32, elapsed: Duration, result: Result<&'static str, ErrorClass>) {
        self.cells.attempt(attempt, elapsed, result);
    }

    fn settled_at_once(&self, elapsed: Duration, outcome: &'static str) {
        self.cells.settled_at_once(elapsed, outcome);
    }

    fn record(&self, elapsed: Duration, outcome: &'static str) {
        self.cells.record(elapsed, outcome);
    }
}

impl Drop for Handle {
    /// Moves the lane's counts to those of ended lanes. Both steps happen under the lock that a
    /// scrape takes, so each count is seen exactly once.
    fn drop(&mut self) {
        if let Some(route) = self.processing.0.routes.lock().get_mut(&self.key) {
            route.live.retain(|cells| !Arc::ptr_eq(cells, &self.cells));
            route.ended.add(&self.cells);
        }
    }
}

impl Collector for Processing {
    fn desc(&self) -> Vec<&Desc> {
        let shared = &*self.0;
        vec![
            &shared.attempts,
            &shared.records,
            &shared.retries,
            &shared.dead_letters,
        ]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let [mut attempts, mut records, mut retries, mut dead_letters] = [const { Vec::new() }; 4];
        for (key, route) in &*self.0.routes.lock() {
            let mut totals = route.ended.clone();
            route.live.iter().for_each(|cells| totals.add(cells));
            for (metrics, sums) in [
                (&mut attempts, &totals.attempts),
                (&mut records, &totals.records),
            ] {
                let sums = ENDS.iter().zip(sums);
                metrics
                    .extend(sums.filter_map(|(end, sum)| Some(histogram(key, end, sum.as_ref()?))));
            }
            let dead = totals.records.get(DEAD_LETTERED).and_then(Option::as_ref);
            retries.push(counter(key, totals.retries));
            dead_letters.push(counter(key, dead.map_or(0, Sum::count)));
        }
        let (histogram, counter) = (MetricType::HISTOGRAM, MetricType::COUNTER);
        let families = [
            family(&self.0.attempts, histogram, attempts),
            family(&self.0.records, histogram, records),
            family(&self.0.retries, counter, retries),
            family(&self.0.dead_letters, counter, dead_letters),
        ];
        families.into_iter().flatten().collect()
    }
}

/// Returns a family, or `None` without metrics. The text encoder refuses an empty family.
fn family(desc: &Desc, kind: MetricType, mut metrics: Vec<Metric>) -> Option<MetricFamily> {
    if metrics.is_empty() {
        return None;
    }
    if !desc.const_label_pairs.is_empty() {
        for metric in &mut metrics {
            let mut labels = metric.take_label();
            labels.extend(desc.const_label_pairs.iter().cloned());
            // The registry expects labels ordered by name.
            labels.sort();
            metric.set_label(labels);
        }
    }
    let mut family = MetricFamily::default();
    family.set_name(desc.fq_name.clone());
    family.set_help(desc.help.clone());
    family.set_field_type(kind);
    family.set_metric(metrics);
    Some(family)
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn counter([group, route, topic]: &Key, value: u64) -> Metric {
    let labels = vec![
        label("group", group),
        label("route", route),
        label("topic", topic),
    ];
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn histogram([group, route, topic]: &Key, end: &str, sum: &Sum) -> Metric {
    let labels = vec![
        label("group", group),
        label("outcome", end),
        label("route", route),
        label("topic", topic),
    ];
    let mut so_far = 0;
    let buckets = SECONDS.iter().zip(sum.buckets).map(|(bound, count)| {
        so_far += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(so_far);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(sum.count());
    histogram.set_sample_sum(sum.nanos as f64 / 1e9);
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}
