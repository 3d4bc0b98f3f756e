//! Support for tests of groups. It adds to the bed of the other tests, and has listeners that note
//! their calls.
#![allow(dead_code, reason = "each test program uses its part")]

#[path = "../consume/bed.rs"]
pub(crate) mod bed;
pub(crate) mod ear;
pub(crate) mod hostile;
pub(crate) mod owners;

use std::collections::BTreeSet;
use std::time::Duration;

use milena_broker::GroupState;
use milena_consumer::{Consumer, ConsumerBuilder, GroupProtocol};
use milena_pool::Cluster;

use bed::{Bed, bed_with, eventually};

/// The ways to be a member. They are eager, cooperative, and assigned by the coordinator.
pub(crate) const WAYS: [&str; 3] = ["range", "cooperative-sticky", "consumer"];

/// Starts a bed whose broker keeps a journal of requests.
pub(crate) async fn bed_with_journal(partitions: u32) -> Bed {
    bed_with(partitions, |b| b.journal(100_000)).await
}

/// Returns the builder of a member of the group `billing`, in one of the [`WAYS`].
pub(crate) async fn member(bed: &Bed, way: &str, client_id: &str) -> ConsumerBuilder {
    let builder = bed.builder_as(client_id).await;
    match way {
        "consumer" => builder.group_protocol(GroupProtocol::Consumer),
        assignor => builder.assignors([assignor]),
    }
}

impl Bed {
    /// Returns the builder of a member of the classic group `billing` that reads `orders`.
    pub(crate) async fn classic(&self, client_id: &str) -> ConsumerBuilder {
        let builder = self.builder_as(client_id).await;
        builder.group_protocol(GroupProtocol::Classic)
    }

    /// Returns the builder of a member of the classic group `billing` that reads these topics.
    pub(crate) async fn classic_of(&self, topics: &[&str]) -> ConsumerBuilder {
        let cluster = Cluster::builder(self.broker.bootstrap())
            .connector(self.broker.dialer())
            .metadata_max_age(Duration::from_secs(10));
        Consumer::builder(cluster.connect().await.unwrap(), "billing")
            .topics(topics.iter().copied())
            .group_protocol(GroupProtocol::Classic)
    }
}

/// Returns the number of members in the group.
pub(crate) fn members(bed: &Bed) -> usize {
    let group = bed.broker.inspect().group("billing");
    group.map_or(0, |group| group.members.len())
}

/// Waits until the group has this many members and is stable.
pub(crate) async fn stable_with(bed: &Bed, count: usize) {
    let stable = || {
        let group = bed.broker.inspect().group("billing");
        group.is_some_and(|group| {
            let clients: BTreeSet<_> = group.members.iter().map(|m| &m.id).collect();
            clients.len() == count && group.state == GroupState::Stable
        })
    };
    eventually("the group is stable", stable).await;
}
