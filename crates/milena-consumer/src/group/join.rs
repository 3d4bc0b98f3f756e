//! One attempt to join a classic group. It sends JoinGroup, computes the assignment if this member
//! leads, and sends SyncGroup.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicPartition};
use milena_lanes::contained;
use milena_pool::Role;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use milena_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use milena_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupRequest};
use tokio::time::Instant;

use super::classic::ClassicTask;
use super::handover::Handover;
use super::metadata::{MemberSubscription, decode_assignment, encode_subscription};
use super::requests::{millis, text};
use crate::group::member::NextJoin;

impl ClassicTask {
    /// Joins once and returns the assignment. The inner error says what to do after a refusal, the
    /// outer error means that a request failed.
    pub(super) async fn join_once(&mut self) -> Result<Result<BTreeSet<TopicPartition>, NextJoin>> {
        let core = std::sync::Arc::clone(&self.core);
        let connection = core.coordinator.connection(Role::Group).await?;
        let parks = core.settings.rebalance_timeout + SLACK;
        let request = self.join_request()?;
        let answer = connection.call_with(&request, parks).await?;
        if let Some(code) = ErrorCode::from_wire(answer.error_code) {
            let next = self.member.join_refused(code, &answer.member_id);
            self.note_id();
            return Ok(Err(next));
        }
        if !self.member.is_next(answer.generation_id) {
            // The generation skipped at least one number. The group rebalanced without this member,
            // so another member may have read the partitions that it kept.
            Handover::of(&core).lose_all().await;
        }
        self.member.joined(&answer.member_id, answer.generation_id);
        self.note_id();
        self.joined_at = Some(Instant::now());
        let (group, generation) = (core.settings.group_name(), answer.generation_id);
        let (member, leads) = (self.member.id(), answer.leader == answer.member_id);
        tracing::info!(group, member, generation, leads, "joined");
        // Discard the verdict on an earlier membership. It may carry the same generation, for
        // example after the coordinator lost its state, and would then be taken for this one's.
        core.verdict.discard();
        // Heartbeats start before the sync. The coordinator may hold the sync until the leader has
        // sent its assignment, and the session must not expire meanwhile.
        core.membership.send_replace(self.member.membership());
        let assignments = match self.assignments(&answer).await {
            Ok(assignments) => assignments,
            // `join` repeats a request whose answer cannot be read, because the next answer may be
            // better. This error comes from the members' metadata or the assignor, which stay the
            // same, so the member ends.
            Err(error) if !error.is_retriable() => return Ok(Err(NextJoin::Fail(error))),
            Err(error) => return Err(error),
        };
        let request = self.sync_request(&answer, assignments);
        let answer = connection.call_with(&request, parks).await?;
        if let Some(code) = ErrorCode::from_wire(answer.error_code) {
            // An eager member owns nothing, so its heartbeats stop until the next join.
            if !self.cooperative {
                core.membership.send_replace(None);
            }
            return Ok(Err(self.member.sync_refused(code)));
        }
        Ok(decode_assignment(&answer.assignment).map_err(NextJoin::Fail))
    }

    /// Builds the request, with the metadata of each assignor. Stores the subscribed topics for
    /// later comparison.
    fn join_request(&mut self) -> Result<JoinGroupRequest> {
        let core = &self.core;
        let settings = &core.settings;
        let wanted = core.group.subscription.borrow().clone();
        self.topics = wanted.resolve(&core.cluster.metadata());
        let (times, reason) = core.group.rebalance.borrow().clone();
        let mut protocols = Vec::with_capacity(self.assignors.len());
        for assignor in &self.assignors {
            let synced = &self.synced;
            let told = MemberSubscription {
                topics: self.topics.clone(),
                owned: core.assignment.assigned().into_iter().collect(),
                // An eager member keeps no partitions and needs no generation here. It sends one
                // once a rebalance was requested, because the coordinator would return the old
                // assignment without a rebalance if the metadata had not changed.
                generation: synced.generation.filter(|_| self.cooperative || times > 0),
                rack: settings.membership.rack.as_deref().map(str::to_owned),
                user_data: contained(&what_panicked(assignor), || {
                    assignor.user_data(&synced.partitions, synced.generation)
                })?,
            };
            let protocol = JoinGroupRequestProtocol::default()
                .with_name(text(assignor.name()))
                .with_metadata(encode_subscription(&told)?);
            protocols.push(protocol);
        }
        Ok(JoinGroupRequest::default()
            .with_group_id(text(settings.group_name()).into())
            .with_session_timeout_ms(millis(settings.session_timeout))
            .with_rebalance_timeout_ms(millis(settings.rebalance_timeout))
            .with_member_id(text(self.member.id()))
            .with_group_instance_id(settings.instance.as_deref().map(text))
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(protocols)
            .with_reason((!reason.is_empty()).then(|| text(&reason))))
    }

    /// Builds the request. `assignments` is empty unless this member leads.
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
            .with_protocol_name(joined.protocol_name.clone())
            .with_assignments(assignments)
    }

    /// Returns the assignor that the coordinator chose.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if this member did not offer it.
    pub(super) fn chosen(
        &self,
        joined: &JoinGroupResponse,
    ) -> Result<&std::sync::Arc<dyn milena_assignor::Assignor>> {
        let name = joined.protocol_name.as_deref().unwrap_or_default();
        let found = self.assignors.iter().find(|a| a.name() == name);
        found.ok_or_else(|| {
            let what =
                format!("the coordinator chose the assignor `{name}`, which was not offered");
            Error::new(ErrorKind::Decode, what).api("JoinGroup")
        })
    }
}

/// Returns the name of an assignor for error texts.
pub(super) fn what_panicked(assignor: &std::sync::Arc<dyn milena_assignor::Assignor>) -> String {
    format!("the assignor `{}`", assignor.name())
}

const PROTOCOL_TYPE: &str = "consumer";
/// Time added to the rebalance timeout when waiting for JoinGroup and SyncGroup. The coordinator
/// may hold a join for the whole rebalance timeout.
const SLACK: Duration = Duration::from_secs(5);
