//! Prometheus metrics of a milena client.
//!
//! A [`Metrics`] is an [`Observer`](milena_core::Observer) of events and a
//! [`Recorder`](milena_core::Recorder) of attempts and records. It reads
//! [`Gauges`](milena_core::Gauges) when it is scraped. `Client::builder().metrics(&metrics)`
//! connects it to a client. No metric is looked up per record. Producers and fetches are counted
//! per batch, and each lane counts its records and attempts in cells of its own.
//!
//! ```
//! use milena_metrics::Metrics;
//!
//! let metrics = Metrics::new();
//! // … `Client::builder().metrics(&metrics)` …
//! assert!(metrics.text().contains("milena_producer_batch_fill_ratio"));
//!
//! // Beside a program's own, in its registry:
//! let registry = prometheus::Registry::new();
//! let metrics = Metrics::builder().registry(&registry).build()?;
//! # let _ = metrics;
//! # Ok::<_, milena_core::Error>(())
//! ```
//!
//! # Names
//! A counter appears with the first event that it counts, and a gauge with the first value that is
//! read.
#![doc = ""]
#![doc = include_str!("../METRICS.md")]
//!
//! # Labels
//! `node` is a broker's id, or `bootstrap` before the id is known. `kind` is Kafka's name of an
//! error code, or one word for errors of the client's side. `group` is empty for consumers of
//! assigned partitions.
//!
//! A label takes a [bounded](MetricsBuilder::max_label_values) number of values. Those past the
//! bound are counted together as `_overflow`, and `milena_metrics_overflow_total` grows by one each
//! time. To separate the clients of several clusters, add a [label](MetricsBuilder::add_label).

mod bound;
mod buckets;
mod builder;
mod cells;
mod consumer;
mod error_kind;
mod metrics;
mod network;
mod observe;
mod processing;
mod producer;
mod scrape;

pub use builder::MetricsBuilder;
pub use metrics::Metrics;
