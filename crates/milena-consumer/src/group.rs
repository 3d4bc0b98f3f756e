//! The task of a classic group member: join, sync, watch, give back, and leave at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{
    Error, ErrorCode, ErrorKind, Event, Partition as PartitionNumber, RebalancePhase, Result,
    TopicName, TopicPartition,
};
use milena_pool::Role;
use milena_protocol::ApiKey;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use milena_protocol::messages::leave_group_request::MemberIdentity;
use milena_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use milena_protocol::messages::{
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};
use tokio::time::{sleep, timeout};

use crate::assignor::{Assignor, GroupMember};
use crate::commit;
use crate::core::{Core, End};
use crate::member::{Member, Membership, Next, Pulse};
use crate::partition::Place;
use crate::subscription::{
    decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};

/// Lives as a member of the group until the consumer closes or cannot go on.
pub(crate) async fn run(core: Arc<Core>, assignor: Arc<dyn Assignor>) {
    let mut task = GroupTask {
        core,
        assignor,
        member: Member::default(),
        led: None,
    };
    let lived = task.live().await;
    if let Err(error) = lived {
        task.lose();
        task.core.end(End::Failed(error));
    }
}

struct GroupTask {
    core: Arc<Core>,
    assignor: Arc<dyn Assignor>,
    member: Member,
    /// The partition counts by which this member, as the leader, assigned last.
    led: Option<BTreeMap<TopicName, usize>>,
}

/// Why a membership ends.
enum Turn {
    Rebalance,
    Lost { forgotten: bool },
    Close,
}

impl GroupTask {
    async fn live(&mut self) -> Result<()> {
        let core = Arc::clone(&self.core);
        tokio::select! {
            found = self.topics_exist() => found?,
            () = core.closing.cancelled() => return Ok(()),
        }
        loop {
            let joined = tokio::select! {
                joined = self.join() => Some(joined?),
                () = core.closing.cancelled() => None,
            };
            let Some(joined) = joined else {
                self.leave().await;
                return Ok(());
            };
            self.take(joined);
            match self.watch().await? {
                Turn::Rebalance => self.give_back().await?,
                Turn::Lost { forgotten } => {
                    self.lose();
                    self.member.forget(forgotten);
                }
                Turn::Close => {
                    let given = self.give_back().await;
                    self.leave().await;
                    return given;
                }
            }
        }
    }

    /// A topic that does not exist is told at the start, with its name, and not waited for.
    async fn topics_exist(&self) -> Result<()> {
        for topic in &self.core.settings.topics {
            self.core.cluster.topic(topic).await?;
        }
        Ok(())
    }

    /// Joins until there is an assignment.
    async fn join(&mut self) -> Result<BTreeSet<TopicPartition>> {
        let mut attempt = 0;
        loop {
            let next = match self.join_once().await {
                Ok(Ok(assignment)) => return Ok(assignment),
                Ok(Err(next)) => next,
                Err(error) if error.is_retriable() || error.kind() == ErrorKind::State => {
                    tracing::debug!(group = self.core.settings.group_name(), %error, "joining is tried again");
                    Next::Relocate
                }
                Err(error) => return Err(self.place(error)),
            };
            match next {
                Next::Again => continue,
                Next::Later => {}
                Next::Relocate => self.core.relocate(),
                Next::Fail(error) => return Err(self.place(error)),
            }
            sleep(self.core.cluster.backoff().delay(attempt)).await;
            attempt += 1;
        }
    }

    async fn join_once(&mut self) -> Result<Result<BTreeSet<TopicPartition>, Next>> {
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

    fn partition_counts(&self, topics: &BTreeSet<TopicName>) -> BTreeMap<TopicName, usize> {
        let metadata = self.core.cluster.metadata();
        let counted = topics.iter().filter_map(|topic| {
            let known = metadata.topic(topic)?;
            Some((topic.clone(), known.partitions.len()))
        });
        counted.filter(|(_, count)| *count > 0).collect()
    }

    /// The assignment is this member's from now on.
    fn take(&self, assignment: BTreeSet<TopicPartition>) {
        let partitions: Vec<_> = assignment.into_iter().collect();
        let topics = partitions.iter().map(|place| place.topic.clone());
        self.core.cluster.want_topics(topics);
        let generation = self.generation();
        tracing::info!(
            group = self.core.settings.group_name(),
            generation,
            ?partitions,
            "assigned"
        );
        self.core
            .tell_rebalance(generation, RebalancePhase::Assigned, &partitions);
        let starts = partitions
            .into_iter()
            .map(|place| (place, Place::Committed));
        self.core.assign(starts);
    }

    /// Watches the membership until it ends.
    async fn watch(&mut self) -> Result<Turn> {
        let core = Arc::clone(&self.core);
        let Some(membership) = self.member.membership() else {
            return Ok(Turn::Rebalance);
        };
        let mut metadata = core.cluster.changed();
        loop {
            tokio::select! {
                word = verdict(&core, &membership) => return match word {
                    Pulse::Fail(error) => Err(self.place(error)),
                    Pulse::Lost { forgotten } => Ok(Turn::Lost { forgotten }),
                    _ => Ok(Turn::Rebalance),
                },
                () = core.closing.cancelled() => return Ok(Turn::Close),
                changed = metadata.changed() => {
                    if changed.is_err() || core.cluster.is_closed() {
                        return Err(Error::new(ErrorKind::Closed, "the cluster handle was closed under the consumer"));
                    }
                    if self.partitions_grew() {
                        return Ok(Turn::Rebalance);
                    }
                }
            }
        }
    }

    /// Whether what this leader assigned by is out of date.
    fn partitions_grew(&self) -> bool {
        let Some(led) = &self.led else { return false };
        let topics: BTreeSet<_> = self
            .core
            .settings
            .topics
            .iter()
            .chain(led.keys())
            .cloned()
            .collect();
        let mut grew = false;
        for (topic, count) in self.partition_counts(&topics) {
            let before = led.get(&topic).copied().unwrap_or(0);
            if count > before {
                grew = true;
                let first = PartitionNumber::new(u32::try_from(before).unwrap_or(u32::MAX));
                self.core.observers().emit(|| Event::PartitionsAdded {
                    topic: &topic,
                    first,
                    count,
                });
            }
        }
        grew
    }

    /// Stop dispatch, drain, commit, fence, release; heartbeats go on meanwhile.
    async fn give_back(&mut self) -> Result<()> {
        let core = Arc::clone(&self.core);
        let partitions = core.partitions();
        let places: Vec<_> = partitions.iter().map(|p| p.place().clone()).collect();
        for partition in &partitions {
            partition.stop();
        }
        let drained = async {
            for partition in &partitions {
                partition.drained().await;
            }
        };
        let membership = self.member.membership();
        let lost = tokio::select! {
            ended = timeout(core.settings.drain_timeout, drained) => {
                if ended.is_err() {
                    tracing::warn!(group = core.settings.group_name(), "handlers did not end in time: their records are read again");
                }
                None
            }
            word = loss(&core, membership.as_ref()) => Some(word),
        };
        if lost.is_none() && core.auto_commit.load(Ordering::Acquire) {
            let committed = tokio::select! {
                committed = commit::commit(&core, &partitions, commit::LIMIT) => committed,
                _ = loss(&core, membership.as_ref()) => Ok(()),
            };
            if let Err(error) = committed {
                tracing::warn!(group = core.settings.group_name(), %error, "offsets are not committed: records are read again");
            }
        }
        let phase = match lost {
            None => RebalancePhase::Revoked,
            Some(_) => RebalancePhase::Lost,
        };
        core.tell_rebalance(self.generation(), phase, &places);
        core.release(&partitions);
        core.membership.send_replace(None);
        match lost {
            Some(Pulse::Lost { forgotten }) => self.member.forget(forgotten),
            Some(Pulse::Fail(error)) => return Err(self.place(error)),
            _ => {}
        }
        Ok(())
    }

    /// The partitions are others' already: nothing is committed.
    fn lose(&self) {
        let partitions = self.core.partitions();
        let places: Vec<_> = partitions.iter().map(|p| p.place().clone()).collect();
        self.core.release(&partitions);
        self.core.membership.send_replace(None);
        if !places.is_empty() {
            self.core
                .tell_rebalance(self.generation(), RebalancePhase::Lost, &places);
        }
    }

    /// Tells the coordinator at once, so that the others need not wait for the session to run out. Static members stay.
    async fn leave(&mut self) {
        self.core.membership.send_replace(None);
        if self.member.id().is_empty() || self.core.settings.instance.is_some() {
            return;
        }
        let leaving = async {
            let connection = self.core.coordinator(Role::Heartbeat).await?;
            let version = connection.versions().negotiate(ApiKey::LeaveGroup)?;
            let request = self.leave_request(version);
            connection.call_version(&request, version, LEAVE).await
        };
        match timeout(LEAVE, leaving).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "leaving the group failed"),
            Err(_) => tracing::debug!("leaving the group took too long"),
        }
        self.member.forget(true);
    }

    fn generation(&self) -> i32 {
        self.member.membership().map_or(-1, |m| m.generation)
    }

    fn place(&self, error: Error) -> Error {
        error.group(self.core.settings.group_name())
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

    fn leave_request(&self, version: i16) -> LeaveGroupRequest {
        let request = LeaveGroupRequest::default()
            .with_group_id(text(self.core.settings.group_name()).into());
        if version < LEAVE_MANY_FROM {
            return request.with_member_id(text(self.member.id()));
        }
        let identity = MemberIdentity::default().with_member_id(text(self.member.id()));
        request.with_members(vec![identity])
    }
}

/// Waits for a word about this membership.
async fn verdict(core: &Core, membership: &Membership) -> Pulse {
    let mut told = core.verdict.subscribe();
    let mine =
        |told: &Option<(Membership, Pulse)>| matches!(told, Some((of, _)) if of == membership);
    if let Ok(Some((_, word))) = told.wait_for(mine).await.as_deref() {
        return word.clone();
    }
    // Only when the consumer itself is gone.
    std::future::pending().await
}

/// Waits until the membership is known to be lost, beyond a rebalance.
async fn loss(core: &Core, membership: Option<&Membership>) -> Pulse {
    let mut told = core.verdict.subscribe();
    let gone = |told: &Option<(Membership, Pulse)>| match told {
        Some((of, Pulse::Lost { .. } | Pulse::Fail(_))) => Some(of) == membership,
        _ => false,
    };
    if let Ok(Some((_, word))) = told.wait_for(gone).await.as_deref() {
        return word.clone();
    }
    // Only when the consumer itself is gone.
    std::future::pending().await
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

const PROTOCOL_TYPE: &str = "consumer";
/// Added to the rebalance timeout, for which the coordinator may park a join.
const SLACK: Duration = Duration::from_secs(5);
/// How long leaving may take: at the end nobody wants to wait.
const LEAVE: Duration = Duration::from_secs(5);
/// The first version of LeaveGroup that lists members (KIP-345).
const LEAVE_MANY_FROM: i16 = 3;
