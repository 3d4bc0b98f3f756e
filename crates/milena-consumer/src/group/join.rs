//! One attempt to join a classic group: JoinGroup, the leader's assignment, SyncGroup.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_core::{ErrorCode, Result, TopicName, TopicPartition};
use milena_pool::Role;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use milena_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use milena_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupRequest};

use super::{GroupTask, text};
use crate::assignor::GroupMember;
use crate::core::Core;
use crate::member::Next;
use crate::subscription::{
    decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};

impl GroupTask {
    pub(super) async fn join_once(&mut self) -> Result<Result<BTreeSet<TopicPartition>, Next>> {
        let settings = &self.core.settings;
        let connection = self.core.coordinator(Role::Group).await?;
        let parks = settings.rebalance_timeout + SLACK;
        let answer = connection.call_with(&self.join_request()?, parks).await?;
        if let Some(code) = ErrorCode::from_wire(answer.error_code) {
            return Ok(Err(self.member.join_refused(code, &answer.member_id)));
        }
        self.member.joined(&answer.member_id, answer.generation_id);
        // Heartbeats begin now: the others may keep the sync waiting.
        let membership = self.member.membership();
        self.core.membership.send_replace(membership);
        let assignments = self.assignments(&answer).await?;
        let request = self.sync_request(&answer, assignments);
        let answer = connection.call_with(&request, parks).await?;
        if let Some(code) = ErrorCode::from_wire(answer.error_code) {
            self.core.membership.send_replace(None);
            return Ok(Err(self.member.sync_refused(code)));
        }
        decode_assignment(&answer.assignment).map(Ok)
    }

    /// As the leader: everybody's assignment; else nothing.
    async fn assignments(
        &mut self,
        joined: &JoinGroupResponse,
    ) -> Result<Vec<SyncGroupRequestAssignment>> {
        self.led = None;
        if joined.leader != joined.member_id || joined.skip_assignment {
            return Ok(Vec::new());
        }
        let mut members = Vec::with_capacity(joined.members.len());
        for member in &joined.members {
            // A member whose metadata cannot be read takes part with no topics: it must not end this consumer.
            let topics = decode_subscription(&member.metadata).unwrap_or_else(|error| {
                tracing::warn!(member = %member.member_id, %error, "a member's subscription is left out");
                BTreeSet::new()
            });
            members.push(GroupMember {
                id: member.member_id.to_string(),
                instance: member.group_instance_id.as_ref().map(ToString::to_string),
                topics,
            });
        }
        let topics: BTreeSet<_> = members
            .iter()
            .flat_map(|m| m.topics.iter().cloned())
            .collect();
        self.core.cluster.want_topics(topics.iter().cloned());
        let known = |core: &Core| {
            topics
                .iter()
                .all(|t| core.cluster.metadata().topic(t).is_some())
        };
        if !known(&self.core) {
            self.core.cluster.refresh().await?;
        }
        let counts = self.partition_counts(&topics);
        let assignment = self.assignor.assign(&members, &counts);
        self.led = Some(counts);
        let entries = assignment.iter().map(|(id, partitions)| {
            Ok(SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(id.clone()))
                .with_assignment(encode_assignment(partitions)?))
        });
        entries.collect()
    }

    pub(super) fn partition_counts(
        &self,
        topics: &BTreeSet<TopicName>,
    ) -> BTreeMap<TopicName, usize> {
        let metadata = self.core.cluster.metadata();
        let counted = topics.iter().filter_map(|topic| {
            let known = metadata.topic(topic)?;
            Some((topic.clone(), known.partitions.len()))
        });
        counted.filter(|(_, count)| *count > 0).collect()
    }

    fn join_request(&self) -> Result<JoinGroupRequest> {
        let settings = &self.core.settings;
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(self.assignor.name()))
            .with_metadata(encode_subscription(&settings.topics)?);
        Ok(JoinGroupRequest::default()
            .with_group_id(text(settings.group_name()).into())
            .with_session_timeout_ms(millis(settings.session_timeout))
            .with_rebalance_timeout_ms(millis(settings.rebalance_timeout))
            .with_member_id(text(self.member.id()))
            .with_group_instance_id(settings.instance.as_deref().map(text))
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(vec![protocol]))
    }

    fn sync_request(
        &self,
        joined: &JoinGroupResponse,
        assignments: Vec<SyncGroupRequestAssignment>,
    ) -> SyncGroupRequest {
        let settings = &self.core.settings;
        SyncGroupRequest::default()
            .with_group_id(text(settings.group_name()).into())
            .with_generation_id(joined.generation_id)
            .with_member_id(joined.member_id.clone())
            .with_group_instance_id(settings.instance.as_deref().map(text))
            .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
            .with_protocol_name(Some(StrBytes::from_static_str(self.assignor.name())))
            .with_assignments(assignments)
    }
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

const PROTOCOL_TYPE: &str = "consumer";
/// Added to the rebalance timeout, for which the coordinator may park a join.
const SLACK: Duration = Duration::from_secs(5);
