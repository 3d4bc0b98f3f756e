//! The duties of a classic group's leader. It reads the members' subscriptions and assigns the
//! partitions.

use std::collections::{BTreeMap, BTreeSet};

use milena_assignor::{GroupMember, GroupTopics, RebalanceProtocol, check, withhold};
use milena_core::{Result, TopicName};
use milena_lanes::contained;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::JoinGroupResponse;
use milena_protocol::messages::sync_group_request::SyncGroupRequestAssignment;

use super::classic::ClassicTask;
use super::join::what_panicked;
use super::metadata::{decode_subscription, encode_assignment};
use crate::group::subscription::is_there;

impl ClassicTask {
    /// Returns every member's assignment if this member leads, and an empty list if it does not.
    pub(super) async fn assignments(
        &mut self,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>> {
        self.led = None;
        let assignor = std::sync::Arc::clone(self.chosen(joined)?);
        if joined.leader != joined.member_id {
            return Ok(Vec::new());
        }
        let members = members(joined);
        let topics: BTreeSet<_> = members
            .iter()
            .flat_map(|m| m.topics.iter().cloned())
            .collect();
        let cluster = &self.core.cluster;
        cluster.want_topics(topics.iter().cloned());
        if topics.iter().any(|t| cluster.metadata().topic(t).is_none()) {
            cluster.refresh().await?;
        }
        let topics = self.group_topics(&topics);
        self.led = Some(topics.counts().map(|(t, n)| (t.clone(), n)).collect());
        if joined.skip_assignment {
            // A static member came back and the old assignment stays valid. This leader still
            // watches the topics for changes (KIP-814).
            return Ok(Vec::new());
        }
        let assign = || assignor.assign(&members, &topics);
        let mut assignment = contained(&what_panicked(&assignor), assign)?;
        if assignor.protocol() == RebalanceProtocol::Cooperative {
            withhold(&mut assignment, &members);
        }
        check(&assignment, assignor.name())?;
        let entries = members.iter().map(|member| {
            let partitions = assignment.remove(&member.id).unwrap_or_default();
            Ok(SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member.id.clone()))
                .with_assignment(encode_assignment(&partitions)?))
        });
        entries.collect()
    }

    /// Returns the topics of these names that exist, with the racks of their partitions' replicas.
    pub(super) fn group_topics(&self, names: &BTreeSet<TopicName>) -> GroupTopics {
        let metadata = self.core.cluster.metadata();
        let rack_of: BTreeMap<_, _> = metadata
            .brokers()
            .filter_map(|broker| Some((broker.node, broker.rack.clone()?)))
            .collect();
        let mut topics = GroupTopics::default();
        for name in names {
            let Some(known) = metadata.topic(name).filter(|topic| is_there(topic)) else {
                continue;
            };
            let racks = known.partitions.iter().map(|partition| {
                let replicas = partition.replicas.iter();
                replicas
                    .filter_map(|node| rack_of.get(node).cloned())
                    .collect()
            });
            topics.insert(name.clone(), racks.collect());
        }
        topics
    }
}

/// Reads the members of a join's answer, with their subscriptions.
fn members(joined: &JoinGroupResponse) -> Vec<GroupMember> {
    let mut members: Vec<GroupMember> = Vec::with_capacity(joined.members.len());
    for member in &joined.members {
        // A member whose metadata cannot be read takes part with no topics. Its mistake must not
        // end this consumer.
        let told = decode_subscription(&member.metadata).unwrap_or_else(|error| {
            tracing::warn!(member = %member.member_id, %error, "a member's subscription cannot be read: the member gets no partitions");
            Default::default()
        });
        let mut known = GroupMember::new(member.member_id.to_string(), told.topics);
        known.instance = member.group_instance_id.as_ref().map(ToString::to_string);
        known.owned = told.owned;
        known.generation = told.generation;
        known.rack = told.rack;
        known.user_data = told.user_data;
        members.push(known);
    }
    members
}
