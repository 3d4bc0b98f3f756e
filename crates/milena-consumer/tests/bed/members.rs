//! Support for tests of groups: ways to be a member, and waits for what the coordinator sees.

use std::collections::BTreeSet;

use milena_broker::GroupState;
use milena_consumer::{ConsumerBuilder, GroupProtocol};

use super::{Bed, bed_with, eventually};

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
