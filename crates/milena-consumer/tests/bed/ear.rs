//! A rebalance listener that notes its calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use milena_consumer::RebalanceListener;
use milena_core::TopicPartition;
use parking_lot::Mutex;

/// A call of the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

type Act = Box<dyn Fn(&[TopicPartition]) + Send + Sync>;

/// Notes all calls, and runs a closure when partitions are assigned.
#[derive(Clone, Default)]
pub(crate) struct Ear(Arc<Noted>);

type Noted = (Mutex<Vec<Heard>>, Mutex<Option<Act>>);

impl Ear {
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.0.0.lock().clone()
    }

    /// Returns the partitions that are assigned now, as the calls show it.
    pub(crate) fn now(&self) -> BTreeSet<TopicPartition> {
        let mut now = BTreeSet::new();
        for heard in self.heard() {
            match heard {
                Heard::Assigned(places) => now.extend(places),
                Heard::Revoked(places) | Heard::Lost(places) => {
                    now.retain(|place| !places.contains(place));
                }
            }
        }
        now
    }

    pub(crate) fn on_assigned(&self, act: impl Fn(&[TopicPartition]) + Send + Sync + 'static) {
        *self.0.1.lock() = Some(Box::new(act));
    }
}

impl RebalanceListener for Ear {
    async fn assigned(&self, partitions: &[TopicPartition]) {
        if let Some(act) = &*self.0.1.lock() {
            act(partitions);
        }
        self.0.0.lock().push(Heard::Assigned(partitions.to_vec()));
    }

    async fn revoked(&self, partitions: &[TopicPartition]) {
        self.0.0.lock().push(Heard::Revoked(partitions.to_vec()));
    }

    async fn lost(&self, partitions: &[TopicPartition]) {
        self.0.0.lock().push(Heard::Lost(partitions.to_vec()));
    }
}
