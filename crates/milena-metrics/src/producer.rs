//! The metrics of producers, counted per batch.

use std::time::Duration;

use milena_core::Error;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec};

use crate::bound::{Keyed, Limit};
use crate::buckets;
use crate::error_kind::kind;

/// The metrics of producers.
pub(crate) struct ProducerMetrics {
    /// The children of each topic.
    topics: Keyed<ProducedTopic>,
    /// The counters by topic, for registration.
    vectors: [IntCounterVec; 4],
    /// `milena_producer_errors_total`.
    errors: IntCounterVec,
    /// `milena_producer_batch_fill_ratio`.
    fill: Histogram,
    /// `milena_producer_compression_ratio`.
    compression: Histogram,
    /// `milena_producer_queue_seconds`.
    queue: Histogram,
    /// `milena_producer_delivery_seconds`.
    delivery: Histogram,
}

/// The children of one topic.
#[derive(Clone)]
struct ProducedTopic {
    /// The topic, or the overflow value past the bound.
    name: Box<str>,
    /// Records that were acknowledged.
    records: IntCounter,
    /// Bytes of acknowledged batches on the wire.
    bytes: IntCounter,
    /// Batches that were acknowledged.
    batches: IntCounter,
    /// Batches that were sent again.
    retries: IntCounter,
}

/// An acknowledged batch.
pub(crate) struct Delivered {
    /// The number of records.
    pub(crate) records: u32,
    /// The size on the wire, in bytes.
    pub(crate) bytes: usize,
    /// The size before compression, in bytes.
    pub(crate) plain: usize,
    /// The largest size of a batch before compression, in bytes. 0 if there is no limit.
    pub(crate) limit: usize,
    /// The time from the first record to the first send.
    pub(crate) queued: Duration,
    /// The time from the first record to the acknowledgement.
    pub(crate) elapsed: Duration,
}

impl ProducerMetrics {
    pub(crate) fn new(limit: &Limit) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| {
            IntCounterVec::new(
                limit.opts(&format!("milena_producer_{name}"), help),
                &["topic"],
            )
        };
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            let opts = limit.opts(&format!("milena_producer_{name}"), help);
            let opts = HistogramOpts::from(opts);
            Histogram::with_opts(opts.buckets(bounds.to_vec()))
        };
        let records = counter("records_total", "Records that were acknowledged.")?;
        let bytes = counter(
            "bytes_total",
            "Bytes of acknowledged batches, as they went over the wire.",
        )?;
        let batches = counter("batches_total", "Batches that were acknowledged.")?;
        let retries = counter("retries_total", "Batches that were sent again.")?;
        let vectors = [records, bytes, batches, retries];
        let [records, bytes, batches, retries] = vectors.clone();
        Ok(Self {
            topics: Keyed::new(limit, move |topic| ProducedTopic {
                name: topic.into(),
                records: records.with_label_values(&[topic]),
                bytes: bytes.with_label_values(&[topic]),
                batches: batches.with_label_values(&[topic]),
                retries: retries.with_label_values(&[topic]),
            }),
            vectors,
            errors: IntCounterVec::new(
                limit.opts(
                    "milena_producer_errors_total",
                    "Records that were given up.",
                ),
                &["kind", "topic"],
            )?,
            fill: histogram(
                "batch_fill_ratio",
                "How full batches were, before compression.",
                &buckets::SHARES,
            )?,
            compression: histogram(
                "compression_ratio",
                "Size of a batch over its size before compression.",
                &buckets::SHARES,
            )?,
            queue: histogram(
                "queue_seconds",
                "From a batch's first record to its first sending.",
                &buckets::SECONDS,
            )?,
            delivery: histogram(
                "delivery_seconds",
                "From a batch's first record to its acknowledgement.",
                &buckets::SECONDS,
            )?,
        })
    }

    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let counters = self.vectors.iter().chain([&self.errors]);
        let histograms = [&self.fill, &self.compression, &self.queue, &self.delivery];
        let counters = counters.map(|one| Box::new(one.clone()) as Box<dyn Collector>);
        let histograms = histograms.map(|one| Box::new(one.clone()) as Box<dyn Collector>);
        counters.chain(histograms).collect()
    }

    pub(crate) fn delivered(&self, topic: &str, batch: &Delivered) {
        let topic = self.topics.of(topic);
        topic.records.inc_by(u64::from(batch.records));
        topic.bytes.inc_by(batch.bytes as u64);
        topic.batches.inc();
        if batch.limit > 0 {
            self.fill.observe(batch.plain as f64 / batch.limit as f64);
        }
        if batch.plain > 0 {
            self.compression
                .observe(batch.bytes as f64 / batch.plain as f64);
        }
        self.queue.observe(batch.queued.as_secs_f64());
        self.delivery.observe(batch.elapsed.as_secs_f64());
    }

    pub(crate) fn retried(&self, topic: &str) {
        self.topics.of(topic).retries.inc();
    }

    pub(crate) fn failed(&self, topic: &str, records: u32, error: &Error) {
        let topic = self.topics.of(topic);
        let errors = self.errors.with_label_values(&[kind(error), &topic.name]);
        errors.inc_by(u64::from(records));
    }
}
