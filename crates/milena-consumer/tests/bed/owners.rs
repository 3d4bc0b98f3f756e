//! Tracks the owner of each partition, as the listeners of all members see it. There is never more
//! than one.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_consumer::RebalanceListener;
use milena_core::TopicPartition;
use parking_lot::Mutex;

/// One register for all members.
#[derive(Clone, Default)]
pub(crate) struct Owners(Arc<Mutex<BTreeMap<TopicPartition, String>>>);

impl Owners {
    /// Returns the listener of one member.
    pub(crate) fn of(&self, member: &str) -> OneOwner {
        OneOwner {
            all: self.clone(),
            member: member.to_owned(),
        }
    }
}

/// The listener of one member.
pub(crate) struct OneOwner {
    /// The register of all members.
    all: Owners,
    /// Name of this member.
    member: String,
}

impl OneOwner {
    fn release(&self, partitions: &[TopicPartition]) {
        let mut all = self.all.0.lock();
        for place in partitions {
            if all.get(place) == Some(&self.member) {
                all.remove(place);
            }
        }
    }
}

impl RebalanceListener for OneOwner {
    async fn assigned(&self, partitions: &[TopicPartition]) {
        let mut all = self.all.0.lock();
        for place in partitions {
            let before = all.insert(place.clone(), self.member.clone());
            assert_eq!(before, None, "{place} is given to {} too", self.member);
        }
    }

    async fn revoked(&self, partitions: &[TopicPartition]) {
        self.release(partitions);
    }

    async fn lost(&self, partitions: &[TopicPartition]) {
        self.release(partitions);
    }
}
