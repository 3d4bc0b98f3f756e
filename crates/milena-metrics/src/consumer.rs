//! The metrics of consumers, counted per fetch, commit and rebalance.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{ConsumerEnd, Error, RebalancePhase};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
};

use crate::bound::{Keyed, Limit};
use crate::buckets;
use crate::error_kind::kind;

/// The metrics of consumers.
pub(crate) struct ConsumerMetrics {
    /// The children of each group.
    groups: Keyed<Group>,
    /// All counters, for registration.
    vectors: Vec<IntCounterVec>,
    /// The gauges of running and of failed consumers, for registration.
    gauges: [IntGaugeVec; 2],
    /// `milena_fetch_errors_total`.
    fetch_errors: IntCounterVec,
    /// `milena_lookup_errors_total`.
    lookup_errors: IntCounterVec,
    /// `milena_consumer_fetch_seconds`.
    fetch: Histogram,
    /// `milena_consumer_commit_seconds`.
    commit: Histogram,
    /// `milena_consumer_heartbeat_seconds`.
    heartbeat: Histogram,
}

/// The children of one topic in one group.
#[derive(Clone)]
struct ConsumedTopic {
    /// The topic, or the overflow value past the bound.
    name: Box<str>,
    /// Records that were fetched.
    records: IntCounter,
    /// Bytes of fetched batches.
    bytes: IntCounter,
    /// Lanes that stopped.
    stopped: IntCounter,
    /// Positions that were out of the log's range.
    resets: IntCounter,
    /// Parts of the log that were skipped because they could not be read.
    corrupt: IntCounter,
    /// Truncations of the log below the position.
    truncated: IntCounter,
    /// Records that a handler had for longer than `max_processing_time`.
    stuck: IntCounter,
}

/// The children of one group.
#[derive(Clone)]
struct Group {
    /// The group, or the overflow value past the bound.
    name: Box<str>,
    /// The children of each topic of the group.
    topics: Arc<Keyed<ConsumedTopic>>,
    /// The closings of each gate of the group.
    gates: Arc<Keyed<IntCounter>>,
    /// Consumers that were started and have not ended.
    running: IntGauge,
    /// Consumers that ended otherwise than by being closed and have no successor yet. Never below
    /// 0.
    failed: IntGauge,
    /// Consumers that ended by being closed.
    closed: IntCounter,
    /// Consumers that ended because they were stopped.
    stopped: IntCounter,
    /// Consumers that ended by an error.
    ended_by_error: IntCounter,
    /// Rebalances that assigned partitions.
    assigned: IntCounter,
    /// Rebalances that revoked partitions.
    revoked: IntCounter,
    /// Rebalances that lost partitions.
    lost: IntCounter,
    /// Commits that the broker accepted.
    committed: IntCounter,
    /// Commits that failed.
    not_committed: IntCounter,
    /// Heartbeats that failed.
    heartbeat_errors: IntCounter,
}

/// An event of a topic's partitions that is only counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    LaneStopped,
    OffsetReset,
    Corrupt,
    Truncated,
    HandlerStuck,
}

impl ConsumerMetrics {
    pub(crate) fn new(limit: &Limit) -> prometheus::Result<Self> {
        let mut vectors = Vec::new();
        let mut counter = |name: &str, labels: &[&str], help: &str| {
            let opts = limit.opts(&format!("milena_{name}"), help);
            let made = IntCounterVec::new(opts, labels)?;
            vectors.push(made.clone());
            Ok::<_, prometheus::Error>(made)
        };
        let topic = &["group", "topic"];
        let records = counter(
            "consumer_records_total",
            topic,
            "Records that were fetched.",
        )?;
        let bytes = counter("consumer_bytes_total", topic, "Bytes of fetched batches.")?;
        let stopped = counter(
            "consumer_lanes_stopped_total",
            topic,
            "Lanes that could not go on.",
        )?;
        let resets = counter(
            "consumer_offset_resets_total",
            topic,
            "Positions that were out of the log's range.",
        )?;
        let corrupt = counter(
            "consumer_corrupt_skipped_total",
            topic,
            "Parts of the log that could not be read and were skipped.",
        )?;
        let truncated = counter(
            "consumer_log_truncations_total",
            topic,
            "Times that the log was truncated below the position.",
        )?;
        let stuck = counter(
            "consumer_handlers_stuck_total",
            topic,
            "Times that a handler had a record for longer than max_processing_time.",
        )?;
        let rebalances = counter(
            "consumer_rebalances_total",
            &["group", "phase"],
            "Times that partitions were assigned, revoked or lost.",
        )?;
        let commits = counter(
            "consumer_commits_total",
            &["group", "result"],
            "Commits that were answered or failed.",
        )?;
        let beats = counter(
            "consumer_heartbeat_errors_total",
            &["group"],
            "Heartbeats that failed.",
        )?;
        let ended = counter(
            "consumer_ended_total",
            &["end", "group"],
            "Consumers that ended, by how.",
        )?;
        let gates = counter(
            "gate_closings_total",
            &["gate", "group"],
            "Times that a route's gate closed, or gave another reason.",
        )?;
        let fetch_errors = counter(
            "fetch_errors_total",
            &["group", "kind", "topic"],
            "Fetches that failed or were refused.",
        )?;
        let lookup_errors = counter(
            "lookup_errors_total",
            &["group", "kind", "topic"],
            "Positions that could not be looked up.",
        )?;
        let gauge = |name: &str, help: &str| {
            let opts: Opts = limit.opts(&format!("milena_consumer_{name}"), help);
            IntGaugeVec::new(opts, &["group"])
        };
        let running = gauge("running", "Consumers that were started and have not ended.")?;
        let failed = gauge(
            "failed",
            "Consumers that ended otherwise than by being closed, and have no successor.",
        )?;
        let histogram = |name: &str, help: &str| {
            let opts = limit.opts(&format!("milena_consumer_{name}"), help);
            let opts = HistogramOpts::from(opts);
            Histogram::with_opts(opts.buckets(buckets::SECONDS.to_vec()))
        };
        let bound = limit.clone();
        Ok(Self {
            gauges: [running.clone(), failed.clone()],
            groups: Keyed::new(limit, move |group| {
                let of =
                    |vector: &IntCounterVec, topic: &str| vector.with_label_values(&[group, topic]);
                let ended = |end: &str| ended.with_label_values(&[end, group]);
                let topic = {
                    let all = [
                        &records, &bytes, &stopped, &resets, &corrupt, &truncated, &stuck,
                    ];
                    let [records, bytes, stopped, resets, corrupt, truncated, stuck] =
                        all.map(IntCounterVec::clone);
                    let group: Box<str> = group.into();
                    move |topic: &str| {
                        let of =
                            |vector: &IntCounterVec| vector.with_label_values(&[&*group, topic]);
                        ConsumedTopic {
                            name: topic.into(),
                            records: of(&records),
                            bytes: of(&bytes),
                            stopped: of(&stopped),
                            resets: of(&resets),
                            corrupt: of(&corrupt),
                            truncated: of(&truncated),
                            stuck: of(&stuck),
                        }
                    }
                };
                let gate = {
                    let (gates, group) = (gates.clone(), Box::<str>::from(group));
                    move |gate: &str| gates.with_label_values(&[gate, &*group])
                };
                Group {
                    name: group.into(),
                    topics: Arc::new(Keyed::new(&bound, topic)),
                    gates: Arc::new(Keyed::new(&bound, gate)),
                    running: running.with_label_values(&[group]),
                    failed: failed.with_label_values(&[group]),
                    closed: ended("closed"),
                    stopped: ended("stopped"),
                    ended_by_error: ended("failed"),
                    assigned: of(&rebalances, "assigned"),
                    revoked: of(&rebalances, "revoked"),
                    lost: of(&rebalances, "lost"),
                    committed: of(&commits, "ok"),
                    not_committed: of(&commits, "error"),
                    heartbeat_errors: beats.with_label_values(&[group]),
                }
            }),
            vectors,
            fetch_errors,
            lookup_errors,
            fetch: histogram("fetch_seconds", "From a fetch to its answer.")?,
            commit: histogram(
                "commit_seconds",
                "How long a commit took, with its retries.",
            )?,
            heartbeat: histogram("heartbeat_seconds", "From a heartbeat to its answer.")?,
        })
    }

    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let histograms = [&self.fetch, &self.commit, &self.heartbeat];
        let histograms = histograms.map(|one| Box::new(one.clone()) as Box<dyn Collector>);
        let gauges = self.gauges.iter();
        let gauges = gauges.map(|one| Box::new(one.clone()) as Box<dyn Collector>);
        let counters = self.vectors.iter();
        counters
            .map(|one| Box::new(one.clone()) as Box<dyn Collector>)
            .chain(gauges)
            .chain(histograms)
            .collect()
    }

    pub(crate) fn started(&self, group: &str) {
        let group = self.groups.of(group);
        group.running.inc();
        // A new consumer takes the place of a failed one, if there is one.
        if group.failed.get() > 0 {
            group.failed.dec();
        }
    }

    pub(crate) fn ended(&self, group: &str, end: ConsumerEnd<'_>) {
        let group = self.groups.of(group);
        group.running.dec();
        let (count, is_failure) = match end {
            ConsumerEnd::Closed => (&group.closed, false),
            ConsumerEnd::Stopped(_) => (&group.stopped, true),
            ConsumerEnd::Failed(_) => (&group.ended_by_error, true),
        };
        count.inc();
        if is_failure {
            group.failed.inc();
        }
    }

    pub(crate) fn fetched(&self, elapsed: Duration) {
        self.fetch.observe(elapsed.as_secs_f64());
    }

    /// Counts a failed fetch. `topic` is `None` if the whole fetch failed, and else the topic of
    /// the refused partition.
    pub(crate) fn fetch_failed(&self, group: &str, topic: Option<&str>, error: &Error) {
        self.failed(&self.fetch_errors, group, topic, error);
    }

    pub(crate) fn lookup_failed(&self, group: &str, topic: &str, error: &Error) {
        self.failed(&self.lookup_errors, group, Some(topic), error);
    }

    /// Counts an error by group, kind and topic. All three come from bounded sets.
    fn failed(&self, errors: &IntCounterVec, group: &str, topic: Option<&str>, error: &Error) {
        let group = self.groups.of(group);
        let topic = topic.map(|topic| group.topics.of(topic).name);
        let topic = topic.as_deref().unwrap_or_default();
        let labels = [&*group.name, kind(error), topic];
        errors.with_label_values(&labels).inc();
    }

    pub(crate) fn received(&self, group: &str, topic: &str, records: u64, bytes: usize) {
        let topic = self.groups.of(group).topics.of(topic);
        topic.records.inc_by(records);
        topic.bytes.inc_by(bytes as u64);
    }

    pub(crate) fn met_with(&self, group: &str, topic: &str, mishap: Mishap) {
        let topic = self.groups.of(group).topics.of(topic);
        match mishap {
            Mishap::LaneStopped => topic.stopped,
            Mishap::OffsetReset => topic.resets,
            Mishap::Corrupt => topic.corrupt,
            Mishap::Truncated => topic.truncated,
            Mishap::HandlerStuck => topic.stuck,
        }
        .inc();
    }

    pub(crate) fn gate_closed(&self, group: &str, gate: &str) {
        self.groups.of(group).gates.of(gate).inc();
    }

    pub(crate) fn rebalanced(&self, group: &str, phase: RebalancePhase) {
        let group = self.groups.of(group);
        match phase {
            RebalancePhase::Assigned => group.assigned.inc(),
            RebalancePhase::Revoked => group.revoked.inc(),
            RebalancePhase::Lost => group.lost.inc(),
        }
    }

    pub(crate) fn committed(&self, group: &str, elapsed: Duration, ok: bool) {
        let group = self.groups.of(group);
        if ok {
            group.committed
        } else {
            group.not_committed
        }
        .inc();
        self.commit.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn heartbeat(&self, group: &str, elapsed: Duration, ok: bool) {
        if ok {
            self.heartbeat.observe(elapsed.as_secs_f64());
        } else {
            self.groups.of(group).heartbeat_errors.inc();
        }
    }
}
