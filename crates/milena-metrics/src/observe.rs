//! The table from events to the metrics that count them.

use milena_core::{Error, ErrorKind, Event};

use crate::consumer::Mishap;
use crate::metrics::Inner;
use crate::network::Request;
use crate::producer::Delivered;

/// Counts an event.
pub(crate) fn on(metrics: &Inner, event: &Event<'_>) {
    let Inner {
        producer,
        consumer,
        network,
        ..
    } = metrics;
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
        Event::Panicked { what, .. } => metrics.panicked(what),
        _ => {}
    }
}

/// Returns an error's kind as a label value. The values are few and fixed, so a broker cannot
/// invent new ones.
pub(crate) fn kind(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Broker(code) => code.name().unwrap_or("unknown_code"),
        ErrorKind::Transport => "transport",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Config => "config",
        ErrorKind::Decode => "decode",
        ErrorKind::Closed => "closed",
        ErrorKind::Fenced => "fenced",
        ErrorKind::RecordTooLarge => "record_too_large",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Security => "security",
        ErrorKind::State => "state",
        _ => "other",
    }
}
