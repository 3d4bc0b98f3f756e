//! Who owns which partition, as listeners of all members hear it: never two.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_consumer::RebalanceListener;
use milena_core::TopicPartition;
use parking_lot::Mutex;

/// One register for all members.
#[derive(Clone, Default)]
pub(crate) struct Owners(Arc<Mutex<BTreeMap<TopicPartition, String>>>);

impl Owners {
    /// The listener of one member.
    pub(crate) fn of(&self, member: &str) -> OneOwner {
        OneOwner {
            all: self.clone(),
            member: member.to_owned(),
        }
    }
}

pub(crate) struct OneOwner {
    all: Owners,
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
