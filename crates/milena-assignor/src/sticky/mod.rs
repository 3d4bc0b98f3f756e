//! Kafka's `sticky` and `cooperative-sticky` assignors. They make even shares and move as few
//! partitions as that allows.

mod balance;
mod plan;
mod user_data;

use std::collections::BTreeSet;

use bytes::Bytes;
use milena_core::{AssignorName, TopicPartition};

use crate::assignor::{Assignor, RebalanceProtocol};
use crate::member::{GroupAssignment, GroupMember};
use crate::topics::GroupTopics;
use balance::balance;
use plan::{Claim, Plan};

/// Kafka's `sticky` assignor. Shares are as even as subscriptions allow, and members keep the
/// partitions that they had before. Members stop all their partitions during each rebalance.
///
/// # References
/// KIP-54. The user data holds the previous assignment and its generation.
#[derive(Clone, Copy, Debug, Default)]
pub struct StickyAssignor;

/// Kafka's `cooperative-sticky` assignor. It assigns like [`StickyAssignor`], and members go on
/// reading the partitions that they keep during a rebalance.
///
/// # References
/// KIP-429. The user data holds the generation.
#[derive(Clone, Copy, Debug, Default)]
pub struct CooperativeStickyAssignor;

impl Assignor for StickyAssignor {
    fn name(&self) -> &str {
        AssignorName::Sticky.name()
    }

    fn user_data(
        &self,
        assigned: &BTreeSet<TopicPartition>,
        generation: Option<i32>,
    ) -> Option<Bytes> {
        user_data::encode_previous(assigned, generation)
    }

    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
        // An eager member owns nothing during a rebalance. Its previous partitions are in its user
        // data.
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
        AssignorName::CooperativeSticky.name()
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
            // A member that writes a subscription below version 2 sends its generation in the user
            // data.
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
    balance(&mut plan);
    plan.into_assignment()
}

#[cfg(test)]
mod tests;
