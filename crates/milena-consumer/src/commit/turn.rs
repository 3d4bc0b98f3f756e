//! One commit under way. It is sent under the current membership, and sent again if the membership
//! or the coordinator changes.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Event, LeaderEpoch, Result, TopicName};
use milena_pool::Role;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Entry, answer};
use crate::core::Core;
use crate::group::member::MembershipStamp;
use crate::passing::passes;

/// The right to commit. Only one commit holds it, so that an older offset never overtakes a newer
/// one.
pub(super) struct Turn<'a> {
    /// Keeps other commits out until it is dropped.
    _permit: SemaphorePermit<'a>,
    /// Reports newer memberships of this consumer.
    memberships: watch::Receiver<Option<MembershipStamp>>,
    /// MembershipStamp under which this commit is sent. `None` outside the group. It is read before
    /// the offsets are taken, so that offsets of a later membership never go out under an earlier
    /// one.
    used: Option<MembershipStamp>,
}

/// Result of a commit.
#[derive(Default)]
pub(super) struct CommitResult {
    /// The gravest error. `None` if every offset was committed.
    pub(super) error: Option<Error>,
    /// Offsets that were refused for single partitions and may be committed later.
    pub(super) refused_for_now: Vec<Entry>,
    /// Offsets that were refused together or got no answer.
    pub(super) left: Vec<Entry>,
}

impl<'a> Turn<'a> {
    /// Waits until no other commit is under way, then reads the membership.
    pub(super) async fn take(core: &'a Core, deadline: Instant) -> Result<Self> {
        let permit = timeout_at(deadline, core.commits.turn()).await;
        let permit = permit.map_err(|_| late())?.map_err(|_| late())?;
        let mut memberships = core.membership.subscribe();
        let used = memberships.borrow_and_update().clone();
        Ok(Self {
            _permit: permit,
            memberships,
            used,
        })
    }

    /// Sends the offsets, and sends them again whenever the group moves on to a newer epoch or
    /// generation.
    pub(super) async fn commit(
        &mut self,
        core: &Core,
        mut left: Vec<Entry>,
        deadline: Instant,
    ) -> CommitResult {
        loop {
            let told = once(core, left, self.used.clone(), deadline).await;
            let code = told.error.as_ref().and_then(Error::code);
            let passed = matches!(
                code,
                Some(ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::ILLEGAL_GENERATION)
            );
            if !passed || !self.moved(deadline).await {
                return told;
            }
            left = told.left;
            left.extend(told.refused_for_now);
        }
    }

    /// Waits for a newer epoch or generation of the same member, which makes the one of this commit
    /// stale. Returns false if there is none in time.
    async fn moved(&mut self, deadline: Instant) -> bool {
        let used = &self.used;
        let newer = |now: &Option<MembershipStamp>| match (now, used) {
            (Some(now), Some(used)) => now.member == used.member && now != used,
            _ => false,
        };
        let patience = deadline.min(Instant::now() + NEWER);
        let moved = timeout_at(patience, async {
            let now = self.memberships.wait_for(newer).await;
            now.ok().and_then(|now| now.clone())
        });
        match moved.await {
            Ok(Some(now)) => {
                self.used = Some(now);
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}

/// Commits under one membership. Retries if the offsets are refused together for now.
async fn once(
    core: &Core,
    offsets: Vec<Entry>,
    membership: Option<MembershipStamp>,
    deadline: Instant,
) -> CommitResult {
    let mut told = CommitResult::default();
    let (gone, mut left): (Vec<_>, Vec<_>) = offsets
        .into_iter()
        .partition(|(partition, _)| partition.is_fenced());
    if let Some((gone, _)) = gone.first() {
        let what = "the partition was given away before its offset was committed; its next owner reads the records again";
        told.error = Some(Error::new(ErrorKind::State, what).at(gone.place()));
    }
    if left.is_empty() {
        return told;
    }
    let Some(membership) = membership else {
        let what = "the consumer is not a member of its group now; commit again once it has joined";
        told.error = Some(Error::new(ErrorKind::State, what));
        return told;
    };
    let started = Instant::now();
    let partitions = left.len();
    let mut attempt = 0;
    loop {
        let request = request(core, &membership, &left);
        let tried = timeout_at(deadline, send(core, &membership, &request)).await;
        let error = match tried {
            Ok(Ok(answer)) => {
                let read = answer::read(core, &membership, left, &answer);
                told.refused_for_now.extend(read.refused_for_now);
                told.error = read.error.or(told.error);
                left = read.again;
                read.whole
            }
            Ok(Err(error)) => Some(error),
            Err(_) => Some(late()),
        };
        let Some(error) = error else { break };
        let wait = core.cluster.backoff().delay(attempt);
        attempt += 1;
        if !passes(&error) || Instant::now() + wait >= deadline {
            told.error = Some(error);
            told.left = left;
            break;
        }
        sleep(wait).await;
        // Partitions may be released during the wait. Their offsets are the next owner's to commit.
        left.retain(|(partition, _)| !partition.is_fenced());
        if left.is_empty() {
            told.error = Some(error);
            break;
        }
    }
    core.counts.commits.fetch_add(1, Ordering::Relaxed);
    core.reports.emit(|group| Event::Commit {
        group,
        partitions,
        elapsed: started.elapsed(),
        error: told.error.as_ref(),
    });
    told
}

/// Sends one request to the coordinator and awaits its answer.
async fn send(
    core: &Core,
    membership: &MembershipStamp,
    request: &OffsetCommitRequest,
) -> Result<OffsetCommitResponse> {
    let connection = core.coordinator.connection(Role::Heartbeat).await?;
    // A commit without an answer ends the connection, and heartbeats on it wait for that. It must
    // give up well before the session ends.
    let limit = core.settings.session_timeout / 3;
    let limit = limit.min(connection.request_timeout());
    let answer = connection.call_with(request, limit).await;
    answer.map_err(|error| {
        if error.is_retriable() {
            core.coordinator.forget();
        }
        tracing::debug!(member = %membership.member, %error, "a commit got no answer");
        error.group(core.settings.group_name())
    })
}

/// Builds the request. Each offset carries its own metadata text, or the text of all commits.
fn request(core: &Core, membership: &MembershipStamp, offsets: &[Entry]) -> OffsetCommitRequest {
    let default = &core.settings.commit_metadata;
    let mut topics: BTreeMap<&TopicName, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for (_, offset) in offsets {
        let epoch = offset.epoch.map_or(-1, LeaderEpoch::to_wire);
        let entry = OffsetCommitRequestPartition::default()
            .with_partition_index(offset.place.partition.to_wire())
            .with_committed_offset(offset.offset.to_wire())
            .with_committed_leader_epoch(epoch)
            .with_committed_metadata(Some(StrBytes::from_string(
                offset.metadata.as_ref().unwrap_or(default).to_string(),
            )));
        topics.entry(&offset.place.topic).or_default().push(entry);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        OffsetCommitRequestTopic::default()
            .with_name(StrBytes::from_string(topic.to_string()).into())
            .with_partitions(partitions)
    });
    let group = StrBytes::from_string(core.settings.group_name().to_owned());
    let instance = core.settings.instance.as_deref();
    OffsetCommitRequest::default()
        .with_group_id(group.into())
        .with_generation_id_or_member_epoch(membership.generation)
        .with_member_id(StrBytes::from_string(membership.member.to_string()))
        .with_group_instance_id(instance.map(|id| StrBytes::from_string(id.to_owned())))
        .with_topics(topics.collect())
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the commit was not answered in time").api("OffsetCommit")
}

/// Longest wait for the newer epoch that made this one stale.
const NEWER: Duration = Duration::from_secs(5);
