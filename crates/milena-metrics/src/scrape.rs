//! The gauges that are read at each scrape, such as lag, buffers, pauses, gates and pools.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use milena_core::{BreakerPhase, Gauge, Gauges, RecordState, TopicPartition, panic_text};
use parking_lot::Mutex;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge as Value, GaugeVec, IntCounterVec};

use crate::bound::{Limit, OVERFLOW, Seen};

/// A collector that reads all watched gauges at each scrape. A clone shares them.
#[derive(Clone)]
pub(crate) struct Scrape(Arc<ScrapeState>);

/// The state that all clones share.
struct ScrapeState {
    /// The bound on label values of one scrape.
    limit: Limit,
    /// `milena_panics_total`, for gauges that panic.
    panics: IntCounterVec,
    /// The sources of gauges. Those that are gone are removed at the next scrape.
    watched: Mutex<Vec<Arc<dyn Gauges>>>,
    /// One vector per row of [`METRICS`], in that order. Emptied at the start of each scrape.
    vectors: [GaugeVec; METRICS.len()],
    /// Held for a whole scrape, because each scrape empties and refills `vectors`.
    drawing: Mutex<()>,
}

/// The metrics of this file. Each row is the name without `milena_`, the labels ordered by name,
/// and the help text.
const METRICS: [(&str, &[&str], &str); 17] = [
    (
        "producer_buffer_bytes",
        &[],
        "Memory that unacknowledged records hold.",
    ),
    (
        "producer_buffer_limit_bytes",
        &[],
        "Memory that unacknowledged records may hold.",
    ),
    (
        "consumer_buffer_bytes",
        &[],
        "Memory that fetched records hold.",
    ),
    (
        "consumer_buffer_limit_bytes",
        &[],
        "Memory that fetched records may hold.",
    ),
    (
        "consumer_lag_records",
        &["group", "partition", "topic"],
        "Records behind the end of the log that are not settled.",
    ),
    (
        "consumer_lag_seconds",
        &["group", "partition", "topic"],
        "Age of what is being read while there is a lag.",
    ),
    (
        "consumer_lane_depth_records",
        &["group", "partition", "topic"],
        "Records that were delivered and are not settled.",
    ),
    (
        "consumer_oldest_unsettled_seconds",
        &["group", "partition", "topic"],
        "Time that the oldest unsettled record has waited, 0 while it is held until its time.",
    ),
    (
        "consumer_held_seconds",
        &["group", "partition", "topic"],
        "Time for which the oldest unsettled record is held from now on.",
    ),
    (
        "consumer_fetch_trouble_seconds",
        &["group", "partition", "topic"],
        "Time for which a partition could not be fetched or its position not be looked up.",
    ),
    (
        "consumer_paused_partitions",
        &["by", "group"],
        "Partitions that are paused, by the holder of the pause.",
    ),
    (
        "consumer_members",
        &["group"],
        "Consumers here that are members of their group.",
    ),
    (
        "gate_closed",
        &["gate", "group"],
        "1 while a route's gate is closed, so that records wait.",
    ),
    (
        "breaker_state",
        &["breaker"],
        "0 closed, 1 half open, 2 open.",
    ),
    (
        "pool_connections",
        &["node"],
        "Connections for short requests.",
    ),
    (
        "pool_idle_connections",
        &["node"],
        "Connections for short requests that are free.",
    ),
    (
        "pool_waiting",
        &["node"],
        "Callers that wait for a connection.",
    ),
];

impl Scrape {
    pub(crate) fn new(limit: &Limit, panics: &IntCounterVec) -> prometheus::Result<Self> {
        let mut vectors = Vec::with_capacity(METRICS.len());
        for (name, labels, help) in METRICS {
            let opts = limit.opts(&format!("milena_{name}"), help);
            vectors.push(GaugeVec::new(opts, labels)?);
        }
        let vectors = vectors.try_into();
        Ok(Self(Arc::new(ScrapeState {
            limit: limit.clone(),
            panics: panics.clone(),
            watched: Mutex::default(),
            vectors: vectors.map_err(|_| prometheus::Error::Msg("a metric is missing".into()))?,
            drawing: Mutex::default(),
        })))
    }

    pub(crate) fn watch(&self, gauges: Arc<dyn Gauges>) {
        self.0.watched.lock().push(gauges);
    }
}

/// The state of one scrape.
struct Drawing<'a> {
    /// The vectors to fill, in the order of [`METRICS`].
    vectors: &'a [GaugeVec; METRICS.len()],
    /// The partitions seen in this scrape, for the bound.
    partitions: Seen<TopicPartition>,
    /// The names seen in this scrape by their kind, so that a flood of one kind takes no room from
    /// the others.
    names: [Seen<String>; 4],
}

/// The kind of a name. Its number is the index into [`Drawing::names`].
#[derive(Clone, Copy, Debug)]
enum Of {
    Group,
    Holder,
    Gate,
    Node,
}

impl Drawing<'_> {
    fn draw(&mut self, gauge: &Gauge<'_>) {
        let [
            producer,
            producer_limit,
            consumer,
            consumer_limit,
            lag,
            lag_time,
            depth,
            oldest,
            held,
            trouble,
            paused,
            members,
            gate,
            breaker,
            pool,
            idle,
            waiting,
        ] = self.vectors;
        match *gauge {
            Gauge::BufferUsed {
                buffer,
                used,
                limit,
                ..
            } => {
                let (of, most) = match buffer {
                    "producer" => (producer, producer_limit),
                    "consumer" => (consumer, consumer_limit),
                    _ => return,
                };
                add(&of.with_label_values::<&str>(&[]), used as f64);
                add(&most.with_label_values::<&str>(&[]), limit as f64);
            }
            Gauge::Lag {
                group,
                partition,
                records,
            } => add(&self.child(lag, group, partition), records as f64),
            Gauge::LagTime {
                group,
                partition,
                age,
            } => raise(&self.child(lag_time, group, partition), age.as_secs_f64()),
            Gauge::LaneDepth {
                group,
                partition,
                records,
            } => add(&self.child(depth, group, partition), records as f64),
            Gauge::OldestUnsettled {
                group,
                partition,
                age,
                state,
                ..
            } => {
                // A record that is held waits on purpose. Its age would look like a stuck record,
                // so only the time it is still held for is shown.
                let (age, left) = match state {
                    RecordState::Held { left, .. } => (0.0, Some(left)),
                    _ => (age.as_secs_f64(), None),
                };
                raise(&self.child(oldest, group, partition), age);
                if let Some(left) = left {
                    raise(&self.child(held, group, partition), left.as_secs_f64());
                }
            }
            Gauge::FetchTrouble {
                group,
                partition,
                age,
                ..
            } => raise(&self.child(trouble, group, partition), age.as_secs_f64()),
            Gauge::Paused { group, by, .. } => {
                let labels = [self.name(Of::Holder, by), self.name(Of::Group, group)];
                add(&paused.with_label_values(&labels), 1.0);
            }
            Gauge::Member {
                group, generation, ..
            } => {
                let member = f64::from(u8::from(generation.is_some()));
                let group = self.name(Of::Group, group);
                add(&members.with_label_values(&[group]), member);
            }
            // Several routes may share a gate, which counts as closed once.
            Gauge::Gate {
                group,
                name,
                closed,
            } => {
                let closed = f64::from(u8::from(closed.is_some()));
                let labels = [self.name(Of::Gate, name), self.name(Of::Group, group)];
                raise(&gate.with_label_values(&labels), closed);
            }
            Gauge::Breaker { name, state } => {
                let state = match state {
                    BreakerPhase::Closed => 0.0,
                    BreakerPhase::HalfOpen => 1.0,
                    BreakerPhase::Open => 2.0,
                };
                raise(
                    &breaker.with_label_values(&[self.name(Of::Gate, name)]),
                    state,
                );
            }
            Gauge::Pool {
                node,
                size,
                idle: free,
                waiting: callers,
                ..
            } => {
                let node = node.to_string();
                let node = self.name(Of::Node, &node);
                add(&pool.with_label_values(&[node]), size as f64);
                add(&idle.with_label_values(&[node]), free as f64);
                add(&waiting.with_label_values(&[node]), callers as f64);
            }
            _ => {}
        }
    }

    /// Returns the value of a partition in a group.
    fn child(&mut self, vector: &GaugeVec, group: &str, partition: &TopicPartition) -> Value {
        let (number, topic) = self.place(partition);
        vector.with_label_values(&[self.name(Of::Group, group), &*number, topic])
    }

    /// Returns the labels of a partition. Partitions past the bound are counted together, whatever
    /// their topic.
    fn place<'p>(&mut self, partition: &'p TopicPartition) -> (String, &'p str) {
        if self.partitions.admit(partition.clone()) {
            (partition.partition.to_string(), partition.topic.as_str())
        } else {
            (OVERFLOW.to_owned(), OVERFLOW)
        }
    }

    /// Returns the label value for a name, which is [`OVERFLOW`] past the bound.
    fn name<'n>(&mut self, of: Of, name: &'n str) -> &'n str {
        let seen = self.names.get_mut(of as usize);
        match seen.map(|seen| seen.admit(name.to_owned())) {
            Some(true) => name,
            _ => OVERFLOW,
        }
    }
}

/// Adds to a value. Used where several clients, or the values past the bound, add up to one figure.
fn add(value: &Value, more: f64) {
    value.add(more);
}

/// Raises a value to `other` if that is larger. Used where the largest figure stands for all.
fn raise(value: &Value, other: f64) {
    value.set(value.get().max(other));
}

impl Collector for Scrape {
    fn desc(&self) -> Vec<&Desc> {
        let shared = &*self.0;
        let vectors = shared.vectors.iter().flat_map(Collector::desc);
        vectors
            .chain(shared.panics.desc())
            .chain(shared.limit.overflow.desc())
            .collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let shared = &*self.0;
        let _drawing = shared.drawing.lock();
        shared.vectors.iter().for_each(GaugeVec::reset);
        // The lock is not held while gauges are read, because their code may call `watch`.
        let watched = {
            let mut watched = shared.watched.lock();
            watched.retain(|gauges| !gauges.is_gone());
            watched.clone()
        };
        let mut drawing = Drawing {
            vectors: &shared.vectors,
            partitions: Seen::new(&shared.limit),
            names: [(); 4].map(|()| Seen::new(&shared.limit)),
        };
        for gauges in &watched {
            // The gauges may be a program's own code. A panic in it must not end the scrape.
            let read = catch_unwind(AssertUnwindSafe(|| {
                gauges.read(&mut |gauge| drawing.draw(&gauge));
            }));
            if let Err(panic) = read {
                let message = panic_text(&*panic);
                tracing::error!(message, "gauges panicked while they were read");
                shared.panics.with_label_values(&["gauges"]).inc();
            }
        }
        let families = shared.vectors.iter().flat_map(Collector::collect);
        // The registry collects in no fixed order. The counters that the reading above counts in
        // are collected here, after it, so that a scrape shows its own trouble.
        families
            .filter(|family| !family.get_metric().is_empty())
            .chain(shared.panics.collect())
            .chain(shared.limit.overflow.collect())
            .collect()
    }
}
