//! What consumers do: counted by the fetch, the commit and the rebalance.

use std::time::Duration;

use milena_core::RebalancePhase;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, Opts};

use crate::bound::{Keyed, Limit};
use crate::buckets;

/// The metrics of consumers.
pub(crate) struct ConsumerMetrics {
    topics: Keyed<Topic>,
    groups: Keyed<Group>,
    vectors: Vec<IntCounterVec>,
    fetch: Histogram,
    commit: Histogram,
    heartbeat: Histogram,
}

/// The children of one topic.
#[derive(Clone)]
struct Topic {
    records: IntCounter,
    bytes: IntCounter,
    stopped: IntCounter,
    resets: IntCounter,
}

/// The children of one group.
#[derive(Clone)]
struct Group {
    assigned: IntCounter,
    revoked: IntCounter,
    lost: IntCounter,
    committed: IntCounter,
    failed: IntCounter,
    heartbeat_errors: IntCounter,
}

impl ConsumerMetrics {
    pub(crate) fn new(limit: &Limit) -> prometheus::Result<Self> {
        let counter = |name: &str, labels: &[&str], help: &str| {
            IntCounterVec::new(Opts::new(format!("milena_consumer_{name}"), help), labels)
        };
        let histogram = |name: &str, help: &str| {
            let opts = HistogramOpts::new(format!("milena_consumer_{name}"), help);
            Histogram::with_opts(opts.buckets(buckets::SECONDS.to_vec()))
        };
        let records = counter("records_total", &["topic"], "Records that were fetched.")?;
        let bytes = counter("bytes_total", &["topic"], "Bytes of fetched batches.")?;
        let stopped = counter(
            "lanes_stopped_total",
            &["topic"],
            "Lanes that could not go on.",
        )?;
        let resets = counter(
            "offset_resets_total",
            &["topic"],
            "Positions that were out of the log's range.",
        )?;
        let rebalances = counter(
            "rebalances_total",
            &["group", "phase"],
            "Times that partitions were assigned, revoked or lost.",
        )?;
        let commits = counter(
            "commits_total",
            &["group", "result"],
            "Commits that were answered or failed.",
        )?;
        let beats = counter(
            "heartbeat_errors_total",
            &["group"],
            "Heartbeats that failed.",
        )?;
        let vectors = [
            &records,
            &bytes,
            &stopped,
            &resets,
            &rebalances,
            &commits,
            &beats,
        ];
        let vectors = vectors.map(Clone::clone).to_vec();
        Ok(Self {
            topics: Keyed::new(limit, move |topic| Topic {
                records: records.with_label_values(&[topic]),
                bytes: bytes.with_label_values(&[topic]),
                stopped: stopped.with_label_values(&[topic]),
                resets: resets.with_label_values(&[topic]),
            }),
            groups: Keyed::new(limit, move |group| Group {
                assigned: rebalances.with_label_values(&[group, "assigned"]),
                revoked: rebalances.with_label_values(&[group, "revoked"]),
                lost: rebalances.with_label_values(&[group, "lost"]),
                committed: commits.with_label_values(&[group, "ok"]),
                failed: commits.with_label_values(&[group, "error"]),
                heartbeat_errors: beats.with_label_values(&[group]),
            }),
            vectors,
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
        let counters = self.vectors.iter();
        counters
            .map(|one| Box::new(one.clone()) as Box<dyn Collector>)
            .chain(histograms)
            .collect()
    }

    pub(crate) fn fetched(&self, elapsed: Duration) {
        self.fetch.observe(elapsed.as_secs_f64());
    }

    pub(crate) fn received(&self, topic: &str, records: u64, bytes: usize) {
        let topic = self.topics.of(topic);
        topic.records.inc_by(records);
        topic.bytes.inc_by(bytes as u64);
    }

    pub(crate) fn lane_stopped(&self, topic: &str) {
        self.topics.of(topic).stopped.inc();
    }

    pub(crate) fn reset(&self, topic: &str) {
        self.topics.of(topic).resets.inc();
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
        if ok { group.committed } else { group.failed }.inc();
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
