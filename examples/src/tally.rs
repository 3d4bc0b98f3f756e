//! Counts the orders in each state.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use milena::{Event, Observer};

use crate::gateway::Gateway;
use crate::topics::Topics;

/// Counts the records that brokers acknowledged, by topic, as an observer of the client. Clones
/// share the counts.
#[derive(Clone, Debug)]
pub struct Tally(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// The topics that are counted.
    topics: Topics,
    /// The gateway, which counts retried payments.
    gateway: Gateway,
    /// The acknowledged records of each topic, in the order of [`Topics::all`].
    written: [AtomicU64; 5],
}

impl Tally {
    /// Creates counts for these topics. The gateway counts the payments that took more than one
    /// attempt.
    #[must_use]
    pub fn new(topics: &Topics, gateway: &Gateway) -> Self {
        Self(Arc::new(Counts {
            topics: topics.clone(),
            gateway: gateway.clone(),
            written: Default::default(),
        }))
    }

    /// Returns the numbers of orders that were placed, validated, paid, shipped, and are dead
    /// letters.
    #[must_use]
    pub fn written(&self) -> [u64; 5] {
        self.0
            .written
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// Returns the number of orders that were paid only after another attempt.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.0.gateway.retried()
    }

    /// Formats the counts in Prometheus' text format.
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
