//! The requests of a commit. They are sent again while the coordinator refuses them together.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use milena_core::{Error, ErrorKind, Event, LeaderEpoch, Result, TopicName};
use milena_pool::Role;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use tokio::time::{Instant, sleep, timeout_at};

use super::answer::{Answers, Entry};
use crate::coordinator::Coordinator;
use crate::counts::Counts;
use crate::group::member::MembershipStamp;
use crate::passing::passes;
use crate::reports::Reports;
use crate::settings::Settings;

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

/// The parts of a consumer that send commits.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    /// The coordinator to send them to. Forgotten if it does not answer.
    coordinator: &'a Coordinator,
    /// The reading of the answers.
    answers: Answers<'a>,
    /// The reports of each commit.
    reports: &'a Reports,
    /// The number of commits, which each one raises.
    counts: &'a Counts,
    /// The session timeout, the text of all commits and the identity of the member.
    settings: &'a Settings,
}

impl<'a> Sending<'a> {
    /// Returns the sending of commits by these parts.
    pub(super) fn new(
        coordinator: &'a Coordinator,
        answers: Answers<'a>,
        reports: &'a Reports,
        counts: &'a Counts,
        settings: &'a Settings,
    ) -> Self {
        Self {
            coordinator,
            answers,
            reports,
            counts,
            settings,
        }
    }

    /// Commits under one membership. Retries if the offsets are refused together for now.
    pub(super) async fn once(
        &self,
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
            let what =
                "the consumer is not a member of its group now; commit again once it has joined";
            told.error = Some(Error::new(ErrorKind::State, what));
            return told;
        };
        let started = Instant::now();
        let partitions = left.len();
        let mut attempt = 0;
        loop {
            let request = self.request(&membership, &left);
            let tried = timeout_at(deadline, self.send(&membership, &request)).await;
            let error = match tried {
                Ok(Ok(answer)) => {
                    let read = self.answers.read(&membership, left, &answer);
                    told.refused_for_now.extend(read.refused_for_now);
                    told.error = read.error.or(told.error);
                    left = read.again;
                    read.whole
                }
                Ok(Err(error)) => Some(error),
                Err(_) => Some(late()),
            };
            let Some(error) = error else { break };
            let wait = self.coordinator.backoff().delay(attempt);
            attempt += 1;
            if !passes(&error) || Instant::now() + wait >= deadline {
                told.error = Some(error);
                told.left = left;
                break;
            }
            sleep(wait).await;
            // Partitions may be released during the wait. Their offsets are the next owner's to
            // commit.
            left.retain(|(partition, _)| !partition.is_fenced());
            if left.is_empty() {
                told.error = Some(error);
                break;
            }
        }
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
        self.reports.emit(|group| Event::Commit {
            group,
            partitions,
            elapsed: started.elapsed(),
            error: told.error.as_ref(),
        });
        told
    }

    /// Sends one request to the coordinator and awaits its answer.
    async fn send(
        &self,
        membership: &MembershipStamp,
        request: &OffsetCommitRequest,
    ) -> Result<OffsetCommitResponse> {
        let connection = self.coordinator.connection(Role::Heartbeat).await?;
        // A commit without an answer ends the connection, and heartbeats on it wait for that. It
        // must give up well before the session ends.
        let limit = self.settings.session_timeout / 3;
        let limit = limit.min(connection.request_timeout());
        let answer = connection.call_with(request, limit).await;
        answer.map_err(|error| {
            if error.is_retriable() {
                self.coordinator.forget();
            }
            tracing::debug!(member = %membership.member, %error, "a commit got no answer");
            error.group(self.settings.group_name())
        })
    }

    /// Builds the request. Each offset carries its own metadata text, or the text of all commits.
    fn request(&self, membership: &MembershipStamp, offsets: &[Entry]) -> OffsetCommitRequest {
        let default = &self.settings.commit_metadata;
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
        let group = StrBytes::from_string(self.settings.group_name().to_owned());
        let instance = self.settings.instance.as_deref();
        OffsetCommitRequest::default()
            .with_group_id(group.into())
            .with_generation_id_or_member_epoch(membership.generation)
            .with_member_id(StrBytes::from_string(membership.member.to_string()))
            .with_group_instance_id(instance.map(|id| StrBytes::from_string(id.to_owned())))
            .with_topics(topics.collect())
    }
}

/// Returns the error of a commit without an answer in time.
pub(super) fn late() -> Error {
    Error::new(ErrorKind::Timeout, "the commit was not answered in time").api("OffsetCommit")
}
