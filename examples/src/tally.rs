//! What has happened so far, counted.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use milena::{Event, Observer};

use crate::gateway::Gateway;
use crate::topics::Topics;

/// Counts the records that brokers acknowledged, by topic: the client tells it, as an observer. Clones count together.
#[derive(Clone, Debug)]
pub struct Tally(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    topics: Topics,
    gateway: Gateway,
    written: [AtomicU64; 5],
}

impl Tally {
    /// Counts for these topics; the gateway knows which payments took more than one attempt.
    #[must_use]
    pub fn new(topics: &Topics, gateway: &Gateway) -> Self {
        Self(Arc::new(Counts {
            topics: topics.clone(),
            gateway: gateway.clone(),
            written: Default::default(),
        }))
    }

    /// How many orders were placed, validated, paid, shipped, and are dead letters.
    #[must_use]
    pub fn written(&self) -> [u64; 5] {
        self.0
            .written
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// How many were paid only after another attempt.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.0.gateway.retried()
    }

    /// The counts in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = "# HELP order_system_orders_total Orders by what happened to them.\n\
            # TYPE order_system_orders_total counter\n"
            .to_owned();
        let states = [
            "placed",
            "validated",
            "paid",
            "shipped",
            "dead-lettered",
            "retried",
        ];
        let counts = self.written().into_iter().chain([self.retried()]);
        for (state, count) in states.iter().zip(counts) {
            let _ = writeln!(
                text,
                "order_system_orders_total{{state=\"{state}\"}} {count}"
            );
        }
        text
    }
}

impl Observer for Tally {
    fn on(&self, event: &Event<'_>) {
        if let Event::BatchDelivered {
            partition, records, ..
        } = event
        {
            let topics = self.0.topics.all().into_iter().zip(&self.0.written);
            for (_, count) in topics.filter(|(topic, _)| **topic == partition.topic) {
                count.fetch_add(u64::from(*records), Ordering::Relaxed);
            }
        }
    }
}
