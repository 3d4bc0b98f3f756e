//! Prometheus metrics of a milena client.
//!
//! A [`Metrics`] is an [`Observer`](milena_core::Observer) of events, a [`Recorder`](milena_core::Recorder) of attempts and records,
//! and reads [`Gauges`](milena_core::Gauges) when it is scraped. A client that is given one does the rest:
//! `Client::builder().metrics(&metrics)`. Nothing is looked up per record: producers and fetches are counted by the batch, and a lane
//! counts its records and attempts in cells of its own.
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
//! Counters begin with the first event that they count, gauges with the first that is read.
#![doc = ""]
#![doc = include_str!("../METRICS.md")]
//!
//! # Labels
//! `node` is a broker's id, or `bootstrap` before it is known. `kind` is Kafka's name of an error code, or one word for errors of this
//! side. A label takes a [bounded](MetricsBuilder::max_label_values) number of values; those past it are counted together as
//! `_overflow`, and `milena_metrics_overflow_total` grows with each time that one is. `group` is empty for consumers of assigned
//! partitions. Clients of several clusters are told apart by a [label](MetricsBuilder::add_label) of yours.

mod bound;
mod buckets;
mod builder;
mod cells;
mod consumer;
mod metrics;
mod network;
mod observe;
mod processing;
mod producer;
mod scrape;

pub use builder::MetricsBuilder;
pub use metrics::Metrics;
