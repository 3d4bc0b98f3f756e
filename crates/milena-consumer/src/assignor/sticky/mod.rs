//! Kafka's `sticky` and `cooperative-sticky`: even shares, and as few partitions moved as that allows.

mod balance;
mod plan;
mod user_data;

use std::collections::BTreeSet;

use bytes::Bytes;
use milena_core::TopicPartition;

use super::{Assignor, GroupAssignment, GroupMember, GroupTopics, RebalanceProtocol};
use plan::{Claim, Plan};

/// Kafka's `sticky`: shares are as even as subscriptions allow, and members keep what they had before, though they stop for each
/// rebalance.
///
/// # References
/// KIP-54; user data: the assignment before and its generation.
#[derive(Clone, Copy, Debug, Default)]
pub struct StickyAssignor;

/// Kafka's `cooperative-sticky`: as [`StickyAssignor`], and what a member keeps goes on being consumed during a rebalance.
///
/// # References
/// KIP-429; user data: the generation.
#[derive(Clone, Copy, Debug, Default)]
pub struct CooperativeStickyAssignor;

impl Assignor for StickyAssignor {
    fn name(&self) -> &str {
        "sticky"
    }

    fn user_data(
        &self,
        assigned: &BTreeSet<TopicPartition>,
        generation: Option<i32>,
    ) -> Option<Bytes> {
        user_data::encode_previous(assigned, generation)
    }

    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
        // An eager member has given everything back: what it had is in its user data.
        let claims = members.iter().map(|member| {
            let said = member.user_data.as_ref();
            let (owned, generation) = said
                .and_then(user_data::decode_previous)
                .unwrap_or_default();
            Claim { owned, generation }
        });
        assign(members, claims.collect(), topics)
    }
}

impl Assignor for CooperativeStickyAssignor {
    fn name(&self) -> &str {
        "cooperative-sticky"
    }

    fn protocol(&self) -> RebalanceProtocol {
        RebalanceProtocol::Cooperative
    }

    fn user_data(&self, _: &BTreeSet<TopicPartition>, generation: Option<i32>) -> Option<Bytes> {
        Some(user_data::encode_generation(generation))
    }

    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
        let claims = members.iter().map(|member| Claim {
            owned: member.owned.clone(),
            // Members older than version 2 of the subscription tell their generation here.
            generation: member.generation.or_else(|| {
                let said = member.user_data.as_ref()?;
                user_data::decode_generation(said)
            }),
        });
        assign(members, claims.collect(), topics)
    }
}

fn assign(members: &[GroupMember], claims: Vec<Claim>, topics: &GroupTopics) -> GroupAssignment {
    let mut plan = Plan::new(members, claims, topics);
    plan.place_free();
    plan.balance();
    plan.into_assignment()
}

#[cfg(test)]
mod tests;
