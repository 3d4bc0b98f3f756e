//! The metrics of one or more clients, with the registry that shows them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use milena_core::{Event, Gauges, Observer, Recorder, RouteLabels, RouteRecorder};
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use crate::bound::Limit;
use crate::observe::EventMetrics;
use crate::processing::Processing;
use crate::scrape::Scrape;

/// Prometheus metrics of clients, and of their producers, consumers, handlers and connections. A
/// clone counts for the same metrics.
///
/// The crate's documentation lists every metric.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

/// The metrics that all clones share. Written by the clients' tasks, without a lock around the
/// whole.
struct Inner {
    /// The registry that holds all metrics below. The program's own, if the builder was given one.
    registry: Registry,
    /// The metrics that count events.
    events: EventMetrics,
    /// The counters of handlers.
    processing: Processing,
    /// The gauges that are read at each scrape.
    scrape: Scrape,
}

impl Metrics {
    /// Makes all metrics and registers them in `registry`. Every metric gets the labels `constant`.
    pub(crate) fn register(
        registry: Registry,
        constant: &HashMap<String, String>,
        max_label_values: usize,
    ) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(name, help).const_labels(constant.clone());
        let overflow = IntCounter::with_opts(opts(
            "milena_metrics_overflow_total",
            "Times that a label value was counted as `_overflow`, since there were too many.",
        ))?;
        let panics = IntCounterVec::new(
            opts(
                "milena_panics_total",
                "Panics of user code on the client's own tasks, which were contained.",
            ),
            &["what"],
        )?;
        let limit = Limit {
            values: max_label_values,
            overflow,
            constant: constant.clone(),
        };
        let inner = Inner {
            registry,
            events: EventMetrics::new(&limit, &panics)?,
            processing: Processing::new(&limit)?,
            scrape: Scrape::new(&limit, &panics)?,
        };
        // The scrape collects `overflow` and `panics` itself, since reading the gauges counts in
        // them.
        let mut collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(inner.processing.clone()),
            Box::new(inner.scrape.clone()),
        ];
        collectors.extend(inner.events.collectors());
        for collector in collectors {
            inner.registry.register(collector)?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Adds gauges to read at each scrape. They are held for as long as the metrics are, or until
    /// they say that they are gone.
    ///
    /// The gauges of a client that was built with these metrics are read already.
    pub fn watch(&self, gauges: Arc<dyn Gauges>) {
        self.0.scrape.watch(gauges);
    }

    /// Returns the registry of the metrics, which may hold other metrics too.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Returns all metrics of the registry, in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string fails only for a family that breaks the format. The text written
        // before it is valid.
        let _ = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut text);
        text
    }

    /// The content type of [`text`](Self::text).
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;
}

impl Observer for Metrics {
    fn on(&self, event: &Event<'_>) {
        self.0.events.on(event);
    }
}

impl Recorder for Metrics {
    fn route(&self, labels: &RouteLabels) -> Arc<dyn RouteRecorder> {
        self.0.processing.handle(labels)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
