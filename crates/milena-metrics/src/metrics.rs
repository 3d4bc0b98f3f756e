//! The metrics of one client or several: the handle that counts, and the registry that shows.

use std::fmt;
use std::sync::Arc;

use milena_core::{Event, Gauges, Observer, Recorder, RouteLabels, RouteRecorder};
use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use crate::bound::Limit;
use crate::builder::MetricsBuilder;
use crate::consumer::ConsumerMetrics;
use crate::network::NetworkMetrics;
use crate::observe;
use crate::processing::Processing;
use crate::producer::ProducerMetrics;
use crate::scrape::Scrape;

/// Prometheus metrics of clients, of their producers, consumers, handlers and connections. A clone counts for the same.
///
/// The crate's documentation lists every name.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

pub(crate) struct Inner {
    registry: Registry,
    pub(crate) producer: ProducerMetrics,
    pub(crate) consumer: ConsumerMetrics,
    pub(crate) network: NetworkMetrics,
    processing: Processing,
    scrape: Scrape,
    panics: IntCounterVec,
}

impl Inner {
    pub(crate) fn panicked(&self, what: &str) {
        // Its kinds are those that the client's own code names.
        self.panics.with_label_values(&[what]).inc();
    }
}

impl Metrics {
    /// Metrics in a registry of their own.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "names are fixed, and a new registry holds none; a test registers them all"
    )]
    pub fn new() -> Self {
        Self::builder().build().expect("the names differ")
    }

    /// Sets up metrics.
    pub fn builder() -> MetricsBuilder {
        MetricsBuilder::default()
    }

    pub(crate) fn start(builder: MetricsBuilder) -> prometheus::Result<Self> {
        let constant = builder.constant;
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
            values: builder.max_label_values,
            overflow,
            constant: constant.clone(),
        };
        let inner = Inner {
            registry: builder.registry.unwrap_or_default(),
            producer: ProducerMetrics::new(&limit)?,
            consumer: ConsumerMetrics::new(&limit)?,
            network: NetworkMetrics::new(&limit)?,
            processing: Processing::new(&limit)?,
            scrape: Scrape::new(&limit, &panics)?,
            panics,
        };
        // The scrape collects `overflow` and `panics` itself, since reading the gauges counts in them.
        let mut collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(inner.processing.clone()),
            Box::new(inner.scrape.clone()),
        ];
        collectors.extend(inner.producer.collectors());
        collectors.extend(inner.consumer.collectors());
        collectors.extend(inner.network.collectors());
        for collector in collectors {
            inner.registry.register(collector)?;
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Reads these figures at each scrape, too; they are held for as long as the metrics are.
    ///
    /// A client that is given the metrics has its own read already.
    pub fn watch(&self, gauges: Arc<dyn Gauges>) {
        self.0.scrape.watch(gauges);
    }

    /// The registry that they are in, with whatever else it holds.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// All metrics of the registry, in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string fails for families that break the format alone; what was written until then is right.
        let _ = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut text);
        text
    }

    /// The content type of [`text`](Self::text).
    pub const CONTENT_TYPE: &'static str = prometheus::TEXT_FORMAT;
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Metrics {
    fn on(&self, event: &Event<'_>) {
        observe::on(&self.0, event);
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
