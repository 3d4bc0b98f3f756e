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

/// The counters of consumers, from which the children of groups and topics are made.
#[derive(Clone)]
struct Counters {
    /// All of them, for registration.
    all: Vec<IntCounterVec>,
    /// `milena_consumer_records_total`.
    records: IntCounterVec,
    /// `milena_consumer_bytes_total`.
    bytes: IntCounterVec,
    /// `milena_consumer_lanes_stopped_total`.
    stopped: IntCounterVec,
    /// `milena_consumer_offset_resets_total`.
    resets: IntCounterVec,
    /// `milena_consumer_corrupt_skipped_total`.
    corrupt: IntCounterVec,
    /// `milena_consumer_log_truncations_total`.
    truncated: IntCounterVec,
    /// `milena_consumer_handlers_stuck_total`.
    stuck: IntCounterVec,
    /// `milena_consumer_rebalances_total`.
    rebalances: IntCounterVec,
    /// `milena_consumer_commits_total`.
    commits: IntCounterVec,
    /// `milena_consumer_heartbeat_errors_total`.
    beats: IntCounterVec,
    /// `milena_consumer_ended_total`.
    ended: IntCounterVec,
    /// `milena_gate_closings_total`.
    gates: IntCounterVec,
    /// `milena_fetch_errors_total`.
    fetch_errors: IntCounterVec,
    /// `milena_lookup_errors_total`.
    lookup_errors: IntCounterVec,
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

impl Counters {
    fn new(limit: &Limit) -> prometheus::Result<Self> {
        let mut all = Vec::new();
        let mut counter = |name: &str, labels: &[&str], help: &str| {
            let opts = limit.opts(&format!("milena_{name}"), help);
            let made = IntCounterVec::new(opts, labels)?;
            all.push(made.clone());
            Ok::<_, prometheus::Error>(made)
        };
        let mut of_topic = |name: &str, help: &str| {
            counter(&format!("consumer_{name}_total"), &["group", "topic"], help)
        };
        let records = of_topic("records", "Records that were fetched.")?;
        let bytes = of_topic("bytes", "Bytes of fetched batches.")?;
        let stopped = of_topic("lanes_stopped", "Lanes that could not go on.")?;
        let out_of_range = "Positions that were out of the log's range.";
        let resets = of_topic("offset_resets", out_of_range)?;
        let unread = "Parts of the log that could not be read and were skipped.";
        let corrupt = of_topic("corrupt_skipped", unread)?;
        let cut = "Times that the log was truncated below the position.";
        let truncated = of_topic("log_truncations", cut)?;
        let held = "Times that a handler had a record for longer than max_processing_time.";
        let stuck = of_topic("handlers_stuck", held)?;
        let moved = "Times that partitions were assigned, revoked or lost.";
        let rebalances = counter("consumer_rebalances_total", &["group", "phase"], moved)?;
        let answered = "Commits that were answered or failed.";
        let commits = counter("consumer_commits_total", &["group", "result"], answered)?;
        let missed = "Heartbeats that failed.";
        let beats = counter("consumer_heartbeat_errors_total", &["group"], missed)?;
        let how = "Consumers that ended, by how.";
        let ended = counter("consumer_ended_total", &["end", "group"], how)?;
        let closed = "Times that a route's gate closed, or gave another reason.";
        let gates = counter("gate_closings_total", &["gate", "group"], closed)?;
        let labels = &["group", "kind", "topic"];
        let refused = "Fetches that failed or were refused.";
        let fetch_errors = counter("fetch_errors_total", labels, refused)?;
        let unknown = "Positions that could not be looked up.";
        let lookup_errors = counter("lookup_errors_total", labels, unknown)?;
        Ok(Self {
            records,
            bytes,
            stopped,
            resets,
            corrupt,
            truncated,
            stuck,
            rebalances,
            commits,
            beats,
            ended,
            gates,
            fetch_errors,
            lookup_errors,
            all,
        })
    }

    /// Returns the children of a group. `gauges` are those of running and of failed consumers.
    fn group(&self, group: &str, [running, failed]: &[IntGaugeVec; 2], bound: &Limit) -> Group {
        let of = |vector: &IntCounterVec, phase: &str| vector.with_label_values(&[group, phase]);
        let ended = |end: &str| self.ended.with_label_values(&[end, group]);
        let (all, name) = (self.clone(), Box::<str>::from(group));
        let topic = move |topic: &str| all.topic(&name, topic);
        let (gates, name) = (self.gates.clone(), Box::<str>::from(group));
        let gate = move |gate: &str| gates.with_label_values(&[gate, &*name]);
        Group {
            name: group.into(),
            topics: Arc::new(Keyed::new(bound, topic)),
            gates: Arc::new(Keyed::new(bound, gate)),
            running: running.with_label_values(&[group]),
            failed: failed.with_label_values(&[group]),
            closed: ended("closed"),
            stopped: ended("stopped"),
            ended_by_error: ended("failed"),
            assigned: of(&self.rebalances, "assigned"),
            revoked: of(&self.rebalances, "revoked"),
            lost: of(&self.rebalances, "lost"),
            committed: of(&self.commits, "ok"),
            not_committed: of(&self.commits, "error"),
            heartbeat_errors: self.beats.with_label_values(&[group]),
        }
    }

    /// Returns the children of a topic in a group.
    fn topic(&self, group: &str, topic: &str) -> ConsumedTopic {
        let of = |vector: &IntCounterVec| vector.with_label_values(&[group, topic]);
        ConsumedTopic {
            name: topic.into(),
            records: of(&self.records),
            bytes: of(&self.bytes),
            stopped: of(&self.stopped),
            resets: of(&self.resets),
            corrupt: of(&self.corrupt),
            truncated: of(&self.truncated),
            stuck: of(&self.stuck),
        }
    }
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
        let counters = Counters::new(limit)?;
        let gauge = |name: &str, help: &str| {
            let opts: Opts = limit.opts(&format!("milena_consumer_{name}"), help);
            IntGaugeVec::new(opts, &["group"])
        };
        let running = gauge("running", "Consumers that were started and have not ended.")?;
        let failed = gauge(
            "failed",
            "Consumers that ended otherwise than by being closed, and have no successor.",
        )?;
        let gauges = [running, failed];
        let histogram = |name: &str, help: &str| {
            let opts = limit.opts(&format!("milena_consumer_{name}"), help);
            let opts = HistogramOpts::from(opts);
            Histogram::with_opts(opts.buckets(buckets::SECONDS.to_vec()))
        };
        Ok(Self {
            gauges: gauges.clone(),
            vectors: counters.all.clone(),
            fetch_errors: counters.fetch_errors.clone(),
            lookup_errors: counters.lookup_errors.clone(),
            fetch: histogram("fetch_seconds", "From a fetch to its answer.")?,
            commit: histogram(
                "commit_seconds",
                "How long a commit took, with its retries.",
            )?,
            heartbeat: histogram("heartbeat_seconds", "From a heartbeat to its answer.")?,
            groups: {
                let bound = limit.clone();
                Keyed::new(limit, move |group| counters.group(group, &gauges, &bound))
            },
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
