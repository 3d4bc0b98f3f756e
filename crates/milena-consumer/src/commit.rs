//! Commits: what was processed is told to the coordinator each interval, on revocation and on close.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Event, LeaderEpoch, Result, TopicName};
use milena_pool::Role;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::core::Core;
use crate::member::{Membership, Pulse, pulse};
use crate::partition::{Committable, Partition};

/// Commits each interval, and what is asked for meanwhile, until the consumer closes.
pub(crate) async fn run(core: Arc<Core>) {
    let mut due = Instant::now() + core.settings.commit_interval;
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = core.later.wanted.notified() => {
                flush(&core).await;
                continue;
            }
            () = core.closing.cancelled() => return,
        }
        if core.auto_commit.load(Ordering::Acquire)
            && let Err(error) = commit(&core, &core.partitions(), LIMIT).await
        {
            tracing::warn!(group = core.settings.group_name(), %error, "offsets are not committed for now");
        }
        due = Instant::now() + core.settings.commit_interval;
    }
}

/// Commits what was left to the commit task.
pub(crate) async fn flush(core: &Core) {
    if let Some(mut round) = core.later.take() {
        let offsets = std::mem::take(&mut round.offsets);
        let ended = commit_these(core, || offsets.into_values().collect(), LIMIT).await;
        if let Err(error) = &ended {
            tracing::warn!(group = core.settings.group_name(), %error, "offsets were not committed");
        }
        round.ended(ended);
    }
}

/// Commits what may be committed of `partitions`; tries again what may pass, within `limit`.
///
/// # Errors
/// [`ErrorKind::State`] without a membership, or when the group went on without this member; else why it failed last.
pub(crate) async fn commit(
    core: &Core,
    partitions: &[Arc<Partition>],
    limit: Duration,
) -> Result<()> {
    let offsets = || {
        let each = partitions.iter();
        each.filter_map(|partition| Some((Arc::clone(partition), partition.to_commit()?)))
            .collect()
    };
    commit_these(core, offsets, limit).await
}

/// Commits these offsets, which are taken when it is this commit's turn.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn commit_these(
    core: &Core,
    offsets: impl FnOnce() -> Vec<(Arc<Partition>, Committable)>,
    limit: Duration,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    let turn = timeout_at(deadline, core.committing.acquire()).await;
    let _turn = turn.map_err(|_| late())?.map_err(|_| late())?;
    let mut memberships = core.membership.subscribe();
    // Taken before the offsets: those of a later membership never go out under an earlier one.
    let mut used = memberships.borrow_and_update().clone();
    let offsets = offsets();
    loop {
        let Err(error) = once(core, &offsets, used.clone(), deadline).await else {
            return Ok(());
        };
        let passed = matches!(
            error.code(),
            Some(ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::ILLEGAL_GENERATION)
        );
        // The group moved on while the commit was under way: what is still owned goes out again under the new epoch or generation.
        let newer = |now: &Option<Membership>| match (now, &used) {
            (Some(now), Some(used)) => now.member == used.member && now != used,
            _ => false,
        };
        let patience = deadline.min(Instant::now() + NEWER);
        let moved = timeout_at(patience, async {
            let now = memberships.wait_for(newer).await;
            now.ok().and_then(|now| now.clone())
        });
        match passed {
            true => match moved.await {
                Ok(Some(now)) => used = Some(now),
                Ok(None) | Err(_) => return Err(error),
            },
            false => return Err(error),
        }
    }
}

async fn once(
    core: &Core,
    offsets: &[(Arc<Partition>, Committable)],
    membership: Option<Membership>,
    deadline: Instant,
) -> Result<()> {
    if offsets.is_empty() {
        return Ok(());
    }
    if let Some((gone, _)) = offsets.iter().find(|(partition, _)| partition.is_fenced()) {
        let what = "the partition was given away before its offset was committed";
        return Err(Error::new(ErrorKind::State, what).at(gone.place()));
    }
    let Some(membership) = membership else {
        return Err(Error::new(
            ErrorKind::State,
            "the consumer is no member of its group now",
        ));
    };
    let request = request(core, &membership, offsets);
    let started = Instant::now();
    let mut attempt = 0;
    let ended = loop {
        let tried = timeout_at(deadline, send(core, &membership, &request)).await;
        let error = match tried {
            Ok(Ok(answer)) => match read(core, &membership, offsets, &answer) {
                Ok(()) => break Ok(()),
                Err(error) => error,
            },
            Ok(Err(error)) => error,
            Err(_) => break Err(late()),
        };
        let wait = core.cluster.backoff().delay(attempt);
        attempt += 1;
        if !error.is_retriable() || Instant::now() + wait >= deadline {
            break Err(error);
        }
        sleep(wait).await;
    };
    core.counts.commits.fetch_add(1, Ordering::Relaxed);
    core.observers().emit(|| Event::Commit {
        group: core.settings.group_name(),
        partitions: offsets.len(),
        elapsed: started.elapsed(),
        error: ended.as_ref().err(),
    });
    ended
}

async fn send(
    core: &Core,
    membership: &Membership,
    request: &OffsetCommitRequest,
) -> Result<OffsetCommitResponse> {
    let connection = core.coordinator(Role::Heartbeat).await?;
    // A commit that gets no answer ends the connection, and heartbeats wait behind it: it must give up well within the session.
    let limit = core.settings.session_timeout / 3;
    let limit = limit.min(connection.request_timeout());
    let answer = connection.call_with(request, limit).await;
    answer.map_err(|error| {
        if error.is_retriable() {
            core.relocate();
        }
        tracing::debug!(member = %membership.member, %error, "a commit got no answer");
        error.group(core.settings.group_name())
    })
}

fn request(
    core: &Core,
    membership: &Membership,
    offsets: &[(Arc<Partition>, Committable)],
) -> OffsetCommitRequest {
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

/// Notes what was committed; the gravest error of the others is the answer's.
fn read(
    core: &Core,
    membership: &Membership,
    offsets: &[(Arc<Partition>, Committable)],
    answer: &OffsetCommitResponse,
) -> Result<()> {
    let code_of = |offset: &Committable| {
        let topic = answer
            .topics
            .iter()
            .find(|t| offset.place.topic == t.name.as_str())?;
        let wire = offset.place.partition.to_wire();
        let entry = topic
            .partitions
            .iter()
            .find(|p| p.partition_index == wire)?;
        Some(ErrorCode::from_wire(entry.error_code))
    };
    let mut worst: Option<Error> = None;
    for (partition, offset) in offsets {
        let Some(code) = code_of(offset) else {
            let what = "the answer leaves out a partition whose offset was to be committed";
            worst = Some(Error::new(ErrorKind::Decode, what).at(&offset.place));
            continue;
        };
        let Some(code) = code else {
            partition.committed_to(offset);
            let mut committed = core.counts.committed.lock();
            committed.insert(offset.place.clone(), offset.offset);
            continue;
        };
        let error = Error::broker(code)
            .api("OffsetCommit")
            .group(core.settings.group_name())
            .at(&offset.place);
        if is_about_the_partition(code) {
            worst = worst.or(Some(error));
            continue;
        }
        let word = pulse(Some(code));
        if let Pulse::Unsure { relocate: true } = word {
            core.relocate();
        }
        // That a rebalance is under way is the heartbeat's to tell: between a join's answer and its sync a commit is refused so,
        // and says nothing about the generation that is just beginning.
        if !matches!(word, Pulse::Rebalance) {
            core.tell_verdict(membership, word);
        }
        worst = Some(error);
    }
    worst.map_or(Ok(()), Err)
}

/// Whether the code speaks of one partition and not of the membership.
fn is_about_the_partition(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::OFFSET_METADATA_TOO_LARGE
            | ErrorCode::INVALID_COMMIT_OFFSET_SIZE
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
    )
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the commit was not answered in time").api("OffsetCommit")
}

/// How long a commit waits for the epoch that made its own stale.
const NEWER: Duration = Duration::from_secs(5);
/// How long one commit may take with its retries; the next one carries newer offsets anyway.
pub(crate) const LIMIT: Duration = Duration::from_secs(15);
