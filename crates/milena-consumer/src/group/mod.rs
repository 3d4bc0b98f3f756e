//! The task of a classic group member: join, sync, watch, give back, and leave at the end.

mod join;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{
    Error, ErrorKind, Event, Partition as PartitionNumber, RebalancePhase, Result, TopicName,
    TopicPartition,
};
use milena_pool::Role;
use milena_protocol::ApiKey;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::LeaveGroupRequest;
use milena_protocol::messages::leave_group_request::MemberIdentity;
use tokio::time::{sleep, timeout};

use crate::assignor::Assignor;
use crate::commit;
use crate::core::{Core, End};
use crate::member::{Member, Membership, Next, Pulse};
use crate::partition::Place;

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

/// How long leaving may take: at the end nobody wants to wait.
const LEAVE: Duration = Duration::from_secs(5);
/// The first version of LeaveGroup that lists members (KIP-345).
const LEAVE_MANY_FROM: i16 = 3;
