//! The table from events to the metrics that count them.

use milena_core::Event;
use prometheus::IntCounterVec;
use prometheus::core::Collector;

use crate::bound::Limit;
use crate::consumer::{ConsumerMetrics, Mishap};
use crate::network::{NetworkMetrics, Request};
use crate::producer::{Delivered, ProducerMetrics};

/// The metrics that count events.
pub(crate) struct EventMetrics {
    /// The metrics of producers.
    producer: ProducerMetrics,
    /// The metrics of consumers.
    consumer: ConsumerMetrics,
    /// The metrics of connections and requests.
    network: NetworkMetrics,
    /// `milena_panics_total`.
    panics: IntCounterVec,
}

impl EventMetrics {
    /// Makes the metrics. `panics` also counts panics that no event reports.
    pub(crate) fn new(limit: &Limit, panics: &IntCounterVec) -> prometheus::Result<Self> {
        Ok(Self {
            producer: ProducerMetrics::new(limit)?,
            consumer: ConsumerMetrics::new(limit)?,
            network: NetworkMetrics::new(limit)?,
            panics: panics.clone(),
        })
    }

    /// Returns the collectors to register. `panics` is not among them.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut all = self.producer.collectors();
        all.extend(self.consumer.collectors());
        all.extend(self.network.collectors());
        all
    }

    /// Counts an event.
    pub(crate) fn on(&self, event: &Event<'_>) {
        let Self {
            producer,
            consumer,
            network,
            ..
        } = self;
        match *event {
            Event::Connected { node, elapsed, .. } => network.connected(node, elapsed),
            Event::ConnectFailed { node, error, .. } => network.connect_failed(node, error),
            Event::Disconnected { node, error, .. } => network.disconnected(node, error),
            Event::Request {
                node,
                api,
                elapsed,
                sent,
                received,
                error,
                ..
            } => network.request(&Request {
                node,
                api,
                elapsed,
                sent,
                received,
                error,
            }),
            Event::Throttled { node, wait, .. } => network.throttled(node, wait),
            Event::MetadataRefreshed { elapsed, .. } => network.refreshed(elapsed),
            Event::Rebootstrap { .. } => network.rebootstrapped(),
            Event::BatchDelivered {
                partition,
                records,
                bytes,
                plain,
                limit,
                queued,
                elapsed,
            } => producer.delivered(
                &partition.topic,
                &Delivered {
                    records,
                    bytes,
                    plain,
                    limit,
                    queued,
                    elapsed,
                },
            ),
            Event::BatchRetried { partition, .. } => producer.retried(&partition.topic),
            Event::BatchFailed {
                partition,
                records,
                error,
            } => producer.failed(&partition.topic, records, error),
            Event::Fetched { elapsed, .. } => consumer.fetched(elapsed),
            Event::Received {
                group,
                partition,
                records,
                bytes,
            } => consumer.received(group, &partition.topic, records, bytes),
            Event::FetchFailed {
                group,
                partition,
                error,
                ..
            } => {
                let topic = partition.map(|partition| partition.topic.as_str());
                consumer.fetch_failed(group, topic, error);
            }
            Event::LookupFailed {
                group,
                partition,
                error,
            } => consumer.lookup_failed(group, &partition.topic, error),
            Event::ConsumerStarted { group } => consumer.started(group),
            Event::ConsumerEnded { group, end } => consumer.ended(group, end),
            Event::GateClosed { group, gate, .. } => consumer.gate_closed(group, gate),
            Event::Rebalance { group, phase, .. } => consumer.rebalanced(group, phase),
            Event::Heartbeat {
                group,
                elapsed,
                error,
            } => consumer.heartbeat(group, elapsed, error.is_none()),
            Event::Commit {
                group,
                elapsed,
                error,
                ..
            } => consumer.committed(group, elapsed, error.is_none()),
            Event::LaneStopped {
                group, partition, ..
            } => consumer.met_with(group, &partition.topic, Mishap::LaneStopped),
            Event::OffsetReset {
                group, partition, ..
            } => consumer.met_with(group, &partition.topic, Mishap::OffsetReset),
            Event::CorruptSkipped {
                group, partition, ..
            } => consumer.met_with(group, &partition.topic, Mishap::Corrupt),
            Event::LogTruncated {
                group, partition, ..
            } => consumer.met_with(group, &partition.topic, Mishap::Truncated),
            Event::HandlerStuck {
                group, partition, ..
            } => consumer.met_with(group, &partition.topic, Mishap::HandlerStuck),
            Event::Panicked { what, .. } => self.panicked(what),
            _ => {}
        }
    }

    /// Counts a panic of user code.
    fn panicked(&self, what: &str) {
        // The value is not bounded, because only the client's own code names it.
        self.panics.with_label_values(&[what]).inc();
    }
}
