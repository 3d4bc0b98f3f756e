//! Commits: what was processed is told to the coordinator each interval, on revocation and on close.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{
    Error, ErrorCode, ErrorKind, Event, LeaderEpoch, Result, TopicName, TopicPartition,
};
use milena_pool::Role;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use tokio::sync::{SemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::core::{Core, End};
use crate::member::{Membership, Pulse, pulse};
use crate::partition::{Committable, Partition};
use crate::passing::passes;

/// Commits each interval, and what is asked for meanwhile, until the consumer closes.
pub(crate) async fn run(core: Arc<Core>) {
    let mut due = Instant::now() + core.settings.commit_interval;
    let mut told = None;
    loop {
        tokio::select! {
            () = sleep_until(due) => {}
            () = core.later.wanted.notified() => {
                flush(&core).await;
                continue;
            }
            () = core.closing.cancelled() => return,
        }
        if core.auto_commit.load(Ordering::Acquire) {
            let ended = commit(&core, &core.partitions(), Effort::INTERVAL).await;
            tell(&core, ended, &mut told);
        }
        due = Instant::now() + core.settings.commit_interval;
    }
}

/// Says once, until commits work again or fail for another reason, why they fail by themselves.
fn tell(core: &Core, ended: Result<()>, told: &mut Option<String>) {
    let group = core.settings.group_name();
    let error = match ended {
        Ok(()) => {
            if told.take().is_some() {
                tracing::info!(group, "offsets are committed again");
            }
            return;
        }
        Err(error) => error,
    };
    let text = error.to_string();
    if told.as_ref() == Some(&text) {
        tracing::debug!(group, %error, "offsets are still not committed");
        return;
    }
    if passes(&error) {
        tracing::warn!(group, %error, "offsets are not committed for now");
    } else {
        tracing::error!(group, %error, "offsets cannot be committed");
    }
    *told = Some(text);
}

/// Commits what was left to the commit task.
pub(crate) async fn flush(core: &Core) {
    if let Some(mut round) = core.later.take() {
        let offsets = std::mem::take(&mut round.offsets);
        let offsets = || offsets.into_values().collect();
        let ended = commit_these(core, offsets, Effort::LAST).await;
        if let Err(error) = &ended {
            tracing::warn!(group = core.settings.group_name(), %error, "offsets were not committed");
        }
        round.ended(ended);
    }
}

/// How hard a commit tries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    limit: Duration,
    /// How often what a broker refuses of a partition for now is tried again.
    again: u32,
}

impl Effort {
    /// The next interval's commit carries newer offsets anyway.
    const INTERVAL: Self = Self {
        limit: LIMIT,
        again: 0,
    };
    /// There is no later commit: the partition goes to another member.
    pub(crate) const LAST: Self = Self {
        limit: LIMIT,
        again: 3,
    };

    /// Of a user, who waits for it.
    pub(crate) fn of_user(core: &Core) -> Self {
        Self {
            limit: core.cluster.api_timeout(),
            again: u32::MAX,
        }
    }
}

/// An offset, and the partition that it is of.
pub(crate) type Entry = (Arc<Partition>, Committable);

/// Commits what may be committed of `partitions`; tries again what may pass, as `effort` says.
///
/// # Errors
/// [`ErrorKind::State`] without a membership, or when the group went on without this member; else why it failed last.
pub(crate) async fn commit(
    core: &Core,
    partitions: &[Arc<Partition>],
    effort: Effort,
) -> Result<()> {
    for partition in partitions.iter().filter(|p| p.has_given_up_commits()) {
        if !is_gone(core, partition.place()) {
            partition.take_up_commits();
        }
    }
    let offsets = || {
        let each = partitions.iter();
        each.filter_map(|partition| Some((Arc::clone(partition), partition.to_commit()?)))
            .collect()
    };
    commit_these(core, offsets, effort).await
}

/// Commits these offsets, which are taken when it is this commit's turn: one that a later word has overtaken by then is left out.
///
/// What can be committed is, whatever becomes of the rest.
///
/// # Errors
/// As [`commit`].
pub(crate) async fn commit_these(
    core: &Core,
    offsets: impl FnOnce() -> Vec<Entry>,
    effort: Effort,
) -> Result<()> {
    let deadline = Instant::now() + effort.limit;
    let mut turn = Turn::take(core, deadline).await?;
    let mut left = offsets();
    let mut attempt = 0;
    let mut worst = None;
    loop {
        left.retain(|(partition, offset)| partition.is_due(offset));
        let told = turn.commit(core, left, deadline).await;
        worst = told.error.or(worst);
        if !told.left.is_empty() {
            return worst.map_or(Ok(()), Err);
        }
        left = told.refused_for_now;
        // Nobody else's commit waits for what a broker refuses of these partitions.
        drop(turn);
        for (partition, offset) in &left {
            core.cluster.request_refresh();
            if is_gone(core, &offset.place) && partition.give_up_commits() {
                tracing::warn!(
                    partition = %offset.place,
                    offset = %offset.offset,
                    "the topic is gone: the offset is not committed any more"
                );
            }
        }
        left.retain(|(partition, _)| !partition.has_given_up_commits());
        let wait = core.cluster.backoff().delay(attempt);
        if left.is_empty() || attempt >= effort.again || Instant::now() + wait >= deadline {
            return worst.map_or(Ok(()), Err);
        }
        attempt += 1;
        sleep(wait).await;
        turn = Turn::take(core, deadline).await?;
        worst = None;
    }
}

/// The one commit that is under way, so that an older offset never overtakes a newer one.
struct Turn<'a> {
    _permit: SemaphorePermit<'a>,
    memberships: watch::Receiver<Option<Membership>>,
    /// Taken before the offsets: those of a later membership never go out under an earlier one.
    used: Option<Membership>,
}

/// What became of a commit.
#[derive(Default)]
struct Told {
    /// The gravest error.
    error: Option<Error>,
    /// What was refused of single partitions, and may be committed later.
    refused_for_now: Vec<Entry>,
    /// What was refused as a whole.
    left: Vec<Entry>,
}

impl<'a> Turn<'a> {
    async fn take(core: &'a Core, deadline: Instant) -> Result<Self> {
        let permit = timeout_at(deadline, core.committing.acquire()).await;
        let permit = permit.map_err(|_| late())?.map_err(|_| late())?;
        let mut memberships = core.membership.subscribe();
        let used = memberships.borrow_and_update().clone();
        Ok(Self {
            _permit: permit,
            memberships,
            used,
        })
    }

    async fn commit(&mut self, core: &Core, mut left: Vec<Entry>, deadline: Instant) -> Told {
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

    /// The group moved on while the commit was under way: what is still owned goes out again under the new epoch or generation, if
    /// there is one.
    async fn moved(&mut self, deadline: Instant) -> bool {
        let used = &self.used;
        let newer = |now: &Option<Membership>| match (now, used) {
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

/// Commits under one membership; what is refused as a whole for now is tried again.
async fn once(
    core: &Core,
    offsets: Vec<Entry>,
    membership: Option<Membership>,
    deadline: Instant,
) -> Told {
    let mut told = Told::default();
    let (gone, mut left): (Vec<_>, Vec<_>) = offsets
        .into_iter()
        .partition(|(partition, _)| partition.is_fenced());
    if let Some((gone, _)) = gone.first() {
        let what = "the partition was given away before its offset was committed";
        told.error = Some(Error::new(ErrorKind::State, what).at(gone.place()));
    }
    if left.is_empty() {
        return told;
    }
    let Some(membership) = membership else {
        let what = "the consumer is no member of its group now";
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
                let answer = read(core, &membership, left, &answer);
                told.refused_for_now.extend(answer.refused_for_now);
                told.error = answer.error.or(told.error);
                left = answer.again;
                answer.whole
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
        left.retain(|(partition, _)| !partition.is_fenced());
        if left.is_empty() {
            told.error = Some(error);
            break;
        }
    }
    core.counts.commits.fetch_add(1, Ordering::Relaxed);
    core.observers().emit(|| Event::Commit {
        group: core.settings.group_name(),
        partitions,
        elapsed: started.elapsed(),
        error: told.error.as_ref(),
    });
    told
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

fn request(core: &Core, membership: &Membership, offsets: &[Entry]) -> OffsetCommitRequest {
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

/// What an answer says.
#[derive(Default)]
struct Answer {
    /// The gravest error of single partitions.
    error: Option<Error>,
    /// What was refused of single partitions for now.
    refused_for_now: Vec<Entry>,
    /// Why all others were refused: the coordinator or the membership.
    whole: Option<Error>,
    /// The others.
    again: Vec<Entry>,
}

/// Notes what was committed, and sorts out what was not.
fn read(
    core: &Core,
    membership: &Membership,
    offsets: Vec<Entry>,
    answer: &OffsetCommitResponse,
) -> Answer {
    let codes: HashMap<(&str, i32), Option<ErrorCode>> = answer
        .topics
        .iter()
        .flat_map(|topic| {
            let each = topic.partitions.iter();
            each.map(|p| {
                let code = ErrorCode::from_wire(p.error_code);
                ((topic.name.as_str(), p.partition_index), code)
            })
        })
        .collect();
    let mut found = Answer::default();
    let mut done = Vec::new();
    for (partition, offset) in offsets {
        let place = &offset.place;
        let code = match codes.get(&(&*place.topic, place.partition.to_wire())) {
            Some(None) => {
                partition.committed_to(&offset);
                done.push((offset.place, offset.offset));
                continue;
            }
            Some(Some(code)) => *code,
            None => {
                let what = "the answer leaves out a partition whose offset was to be committed";
                found.error = Some(Error::new(ErrorKind::Decode, what).at(place));
                found.refused_for_now.push((partition, offset));
                continue;
            }
        };
        let error = Error::broker(code)
            .api("OffsetCommit")
            .group(core.settings.group_name())
            .at(place);
        match subject(code) {
            Subject::PartitionForNow => {
                found.error = found.error.or(Some(error));
                found.refused_for_now.push((partition, offset));
            }
            Subject::Partition => {
                found.error = Some(refused(core, code, &offset, error));
            }
            Subject::Membership => {
                let word = pulse(Some(code));
                if let Pulse::Unsure { relocate: true } = word {
                    core.relocate();
                }
                // That a rebalance is under way is the heartbeat's to tell: between a join's answer and its sync a commit is
                // refused so, and says nothing about the generation that is just beginning.
                if !matches!(word, Pulse::Rebalance) {
                    core.tell_verdict(membership, word);
                }
                found.whole = Some(error);
                found.again.push((partition, offset));
            }
        }
    }
    core.counts.committed.lock().extend(done);
    found
}

/// A refusal that no waiting mends. Where the text that all commits carry is what is refused, nothing is ever committed: the consumer
/// ends, rather than process for hours what all is to be processed again.
#[cold]
fn refused(core: &Core, code: ErrorCode, offset: &Committable, error: Error) -> Error {
    let is_text = matches!(
        code,
        ErrorCode::OFFSET_METADATA_TOO_LARGE | ErrorCode::INVALID_COMMIT_OFFSET_SIZE
    );
    if !is_text || offset.metadata.is_some() {
        return error;
    }
    let error = error.setting("commit_metadata");
    if core.auto_commit.load(Ordering::Acquire) {
        tracing::error!(%error, "no offset can be committed: the consumer ends");
        core.end(End::Failed(error.clone()));
    }
    error
}

/// Whom a refusal is about.
enum Subject {
    /// One partition; no waiting mends it.
    Partition,
    /// One partition, and it may pass; or nobody can tell.
    PartitionForNow,
    /// The coordinator or the membership.
    Membership,
}

fn subject(code: ErrorCode) -> Subject {
    match code {
        ErrorCode::OFFSET_METADATA_TOO_LARGE
        | ErrorCode::INVALID_COMMIT_OFFSET_SIZE
        | ErrorCode::TOPIC_AUTHORIZATION_FAILED => Subject::Partition,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::UNKNOWN_SERVER_ERROR => Subject::PartitionForNow,
        _ if code.name().is_none() => Subject::PartitionForNow,
        _ => Subject::Membership,
    }
}

/// Whether the topic or the partition is gone, as far as metadata tell.
fn is_gone(core: &Core, place: &TopicPartition) -> bool {
    let metadata = core.cluster.metadata();
    match metadata.topic(&place.topic) {
        Some(topic) => {
            topic.error == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
                || topic.error.is_none() && topic.partition(place.partition).is_none()
        }
        None => true,
    }
}

fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the commit was not answered in time").api("OffsetCommit")
}

/// How long a commit waits for the epoch that made its own stale.
const NEWER: Duration = Duration::from_secs(5);
/// How long one commit may take with its retries; the next one carries newer offsets anyway.
const LIMIT: Duration = Duration::from_secs(15);
