//! Connections and requests.

use std::time::Duration;

use milena_core::{Error, NodeId};
use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec,
};

use crate::bound::{Keyed, Limit};
use crate::buckets;
use crate::error_kind::kind;

/// The metrics of connections and requests.
pub(crate) struct NetworkMetrics {
    /// The children of each broker.
    nodes: Keyed<Node>,
    /// The children of each kind of request.
    apis: Keyed<Api>,
    /// `milena_connections_failed_total`.
    failed: IntCounterVec,
    /// `milena_connections_lost_total`.
    lost: IntCounterVec,
    /// `milena_request_errors_total`.
    errors: IntCounterVec,
    /// `milena_connect_seconds`.
    connect: Histogram,
    /// `milena_metadata_refresh_seconds`.
    refresh: Histogram,
    /// `milena_rebootstraps_total`.
    rebootstraps: IntCounter,
    /// Functions that make the collectors of the vectors in `nodes` and `apis`, for registration.
    others: Vec<Box<dyn Fn() -> Box<dyn Collector> + Send + Sync>>,
}

/// The children of one broker.
#[derive(Clone)]
struct Node {
    /// The broker's id, `bootstrap` before it is known, or the overflow value past the bound.
    name: Box<str>,
    /// Connections that are open now.
    open: IntGauge,
    /// Connections opened so far.
    opened: IntCounter,
    /// Bytes of requests.
    sent: IntCounter,
    /// Bytes of answers.
    received: IntCounter,
    /// Seconds of throttling that the broker asked for.
    throttled: Counter,
}

/// The children of one kind of request.
#[derive(Clone)]
struct Api {
    /// The name of the API, or the overflow value past the bound.
    name: Box<str>,
    /// Times from a request's last byte to its answer.
    latency: Histogram,
}

/// A request that ended.
pub(crate) struct Request<'a> {
    /// The broker. `None` if its id was not known yet.
    pub(crate) node: Option<NodeId>,
    /// The name of the API.
    pub(crate) api: &'static str,
    /// The time from the request's last byte to its answer.
    pub(crate) elapsed: Duration,
    /// Bytes of the request.
    pub(crate) sent: usize,
    /// Bytes of the answer. 0 without one.
    pub(crate) received: usize,
    /// The reason that no readable answer came. `None` for an answer.
    pub(crate) error: Option<&'a Error>,
}

impl NetworkMetrics {
    pub(crate) fn new(limit: &Limit) -> prometheus::Result<Self> {
        let opts = |name: &str, help: &str| limit.opts(&format!("milena_{name}"), help);
        let counter = |short: &str, labels: &[&str], help: &str| {
            IntCounterVec::new(opts(short, help), labels)
        };
        let times = |short: &str, help: &str| {
            HistogramOpts::from(opts(short, help)).buckets(buckets::SECONDS.to_vec())
        };
        let opened = counter(
            "connections_opened_total",
            &["node"],
            "Connections that were made.",
        )?;
        let sent = counter("sent_bytes_total", &["node"], "Bytes of requests.")?;
        let received = counter("received_bytes_total", &["node"], "Bytes of answers.")?;
        let open = opts("connections", "Connections that are open.");
        let open = IntGaugeVec::new(open, &["node"])?;
        let throttled = opts("throttled_seconds_total", "How long brokers asked to wait.");
        let throttled = CounterVec::new(throttled, &["node"])?;
        let latency = times(
            "request_seconds",
            "From a request's last byte to its answer.",
        );
        let latency = HistogramVec::new(latency, &["api"])?;
        let others = vec![
            collector(&opened),
            collector(&sent),
            collector(&received),
            collector(&open),
            collector(&throttled),
            collector(&latency),
        ];
        Ok(Self {
            nodes: Keyed::new(limit, move |node| Node {
                name: node.into(),
                open: open.with_label_values(&[node]),
                opened: opened.with_label_values(&[node]),
                sent: sent.with_label_values(&[node]),
                received: received.with_label_values(&[node]),
                throttled: throttled.with_label_values(&[node]),
            }),
            apis: Keyed::new(limit, move |api| Api {
                name: api.into(),
                latency: latency.with_label_values(&[api]),
            }),
            failed: counter(
                "connections_failed_total",
                &["kind", "node"],
                "Connections that could not be made.",
            )?,
            lost: counter(
                "connections_lost_total",
                &["kind", "node"],
                "Connections that broke.",
            )?,
            errors: counter(
                "request_errors_total",
                &["api", "kind"],
                "Requests that got no answer that can be read.",
            )?,
            connect: Histogram::with_opts(times(
                "connect_seconds",
                "How long dialing and handshake took.",
            ))?,
            refresh: Histogram::with_opts(times(
                "metadata_refresh_seconds",
                "How long a refresh of the metadata took.",
            ))?,
            rebootstraps: IntCounter::with_opts(opts(
                "rebootstraps_total",
                "Times that all known brokers were gone.",
            ))?,
            others,
        })
    }

    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut all: Vec<Box<dyn Collector>> = self.others.iter().map(|make| make()).collect();
        all.push(Box::new(self.failed.clone()));
        all.push(Box::new(self.lost.clone()));
        all.push(Box::new(self.errors.clone()));
        all.push(Box::new(self.connect.clone()));
        all.push(Box::new(self.refresh.clone()));
        all.push(Box::new(self.rebootstraps.clone()));
        all
    }

    pub(crate) fn connected(&self, node: Option<NodeId>, elapsed: Duration) {
        let node = self.node(node);
        node.open.inc();
        node.opened.inc();
        self.connect.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn connect_failed(&self, node: Option<NodeId>, error: &Error) {
        let node = self.node(node);
        self.failed
            .with_label_values(&[kind(error), &node.name])
            .inc();
    }

    pub(crate) fn disconnected(&self, node: Option<NodeId>, error: Option<&Error>) {
        let node = self.node(node);
        node.open.dec();
        if let Some(error) = error {
            self.lost
                .with_label_values(&[kind(error), &node.name])
                .inc();
        }
    }

    pub(crate) fn request(&self, request: &Request<'_>) {
        let node = self.node(request.node);
        node.sent.inc_by(request.sent as u64);
        node.received.inc_by(request.received as u64);
        let api = self.apis.of(request.api);
        // A failed request has no latency. Its time would be that of a timeout or of a lost
        // connection.
        match request.error {
            None => api.latency.observe(request.elapsed.as_secs_f64()),
            Some(error) => self
                .errors
                .with_label_values(&[&*api.name, kind(error)])
                .inc(),
        }
    }

    pub(crate) fn throttled(&self, node: Option<NodeId>, wait: Duration) {
        self.node(node).throttled.inc_by(wait.as_secs_f64());
    }

    pub(crate) fn refreshed(&self, elapsed: Duration) {
        self.refresh.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn rebootstrapped(&self) {
        self.rebootstraps.inc();
    }

    /// Returns the children of a broker. A broker without a known id counts as `bootstrap`.
    fn node(&self, node: Option<NodeId>) -> Node {
        match node {
            Some(node) => self.nodes.of(&node.to_string()),
            None => self.nodes.of("bootstrap"),
        }
    }
}

/// Returns a function that makes boxed clones of a collector.
fn collector<C: Collector + Clone + 'static>(
    of: &C,
) -> Box<dyn Fn() -> Box<dyn Collector> + Send + Sync> {
    let of = of.clone();
    Box::new(move || Box::new(of.clone()))
}
