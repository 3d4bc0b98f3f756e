//! What tests of groups share: the bed of the other tests, and an ear that notes what a listener hears.
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

/// The ways to be a member: eager, cooperative, and by the coordinator's assignment.
pub(crate) const WAYS: [&str; 3] = ["range", "cooperative-sticky", "consumer"];

/// A bed whose broker notes what it is asked.
pub(crate) async fn bed_with_journal(partitions: u32) -> Bed {
    bed_with(partitions, |b| b.journal(100_000)).await
}

/// A member of the group `billing` in one of the [`WAYS`].
pub(crate) async fn member(bed: &Bed, way: &str, client_id: &str) -> ConsumerBuilder {
    let builder = bed.builder_as(client_id).await;
    match way {
        "consumer" => builder.group_protocol(GroupProtocol::Consumer),
        assignor => builder.assignors([assignor]),
    }
}

impl Bed {
    /// A member of the classic group `billing`, reading `orders`.
    pub(crate) async fn classic(&self, client_id: &str) -> ConsumerBuilder {
        let builder = self.builder_as(client_id).await;
        builder.group_protocol(GroupProtocol::Classic)
    }

    /// A member of the classic group `billing`, reading these topics.
    pub(crate) async fn classic_of(&self, topics: &[&str]) -> ConsumerBuilder {
        let cluster = Cluster::builder(self.broker.bootstrap())
            .connector(self.broker.dialer())
            .metadata_max_age(Duration::from_secs(10));
        Consumer::builder(cluster.connect().await.unwrap(), "billing")
            .topics(topics.iter().copied())
            .group_protocol(GroupProtocol::Classic)
    }
}

/// How many members the group has.
pub(crate) fn members(bed: &Bed) -> usize {
    let group = bed.broker.inspect().group("billing");
    group.map_or(0, |group| group.members.len())
}

/// Waits until the group has so many members, at rest, with all partitions given out.
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
