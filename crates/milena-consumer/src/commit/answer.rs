//! Reads the answer to a commit. Tells if a refusal concerns one partition, the membership or the
//! coordinator.

use std::collections::HashMap;
use std::sync::Arc;

use milena_core::{Error, ErrorCode, ErrorKind};
use milena_lanes::End;
use milena_protocol::messages::OffsetCommitResponse;

use super::commits::Commits;
use crate::coordinator::Coordinator;
use crate::group::member::{MembershipStamp, Pulse, pulse};
use crate::group::verdict_watch::VerdictWatch;
use crate::lifecycle::Lifecycle;
use crate::partition::{Committable, Committing, Partition};

/// An offset to commit, and its partition.
pub(crate) type Entry = (Arc<Partition>, Committable);

/// Contents of an answer.
#[derive(Default)]
pub(super) struct CommitAnswer {
    /// The gravest error of single partitions. `None` if there was none.
    pub(super) error: Option<Error>,
    /// Offsets that were refused for single partitions and may be committed later.
    pub(super) refused_for_now: Vec<Entry>,
    /// Error that refused all other offsets together. It concerns the coordinator or the
    /// membership. `None` if there was none.
    pub(super) whole: Option<Error>,
    /// Offsets that were refused together.
    pub(super) again: Vec<Entry>,
}

/// The parts of a consumer that the answer to a commit concerns.
#[derive(Clone, Copy)]
pub(super) struct Answers<'a> {
    /// The record of the offsets that were committed.
    commits: &'a Commits,
    /// The coordinator. Forgotten if the answer says that another broker coordinates the group.
    coordinator: &'a Coordinator,
    /// The verdict on the membership, for the group's task. Written here.
    verdict: &'a VerdictWatch,
    /// The end of the consumer. Reached if no commit can ever succeed.
    lifecycle: &'a Lifecycle,
}

impl<'a> Answers<'a> {
    /// Returns the reading of answers into these parts.
    pub(super) fn new(
        commits: &'a Commits,
        coordinator: &'a Coordinator,
        verdict: &'a VerdictWatch,
        lifecycle: &'a Lifecycle,
    ) -> Self {
        Self {
            commits,
            coordinator,
            verdict,
            lifecycle,
        }
    }

    /// Records the offsets that were committed, and sorts the others by the reason of their
    /// refusal.
    pub(super) fn read(
        &self,
        membership: &MembershipStamp,
        offsets: Vec<Entry>,
        answer: &OffsetCommitResponse,
    ) -> CommitAnswer {
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
        let mut found = CommitAnswer::default();
        let mut done = Vec::new();
        for (partition, offset) in offsets {
            let place = &offset.place;
            let code = match codes.get(&(&*place.topic, place.partition.to_wire())) {
                Some(None) => {
                    Committing::of(&partition).committed_to(&offset);
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
                .group(self.coordinator.group_name())
                .at(place);
            match subject(code) {
                Subject::PartitionForNow => {
                    found.error = found.error.or(Some(error));
                    found.refused_for_now.push((partition, offset));
                }
                Subject::Partition => {
                    found.error = Some(self.refused(code, &offset, error));
                }
                Subject::MembershipStamp => {
                    let word = pulse(Some(code));
                    if let Pulse::Unsure { relocate: true } = word {
                        self.coordinator.forget();
                    }
                    // A heartbeat reports a rebalance. A commit between a join and its sync gets
                    // this code too, which says nothing about the new generation.
                    if !matches!(word, Pulse::Rebalance) {
                        self.verdict.record(membership, word);
                    }
                    found.whole = Some(error);
                    found.again.push((partition, offset));
                }
            }
        }
        self.commits.note_done(done);
        found
    }

    /// Returns the error of a refusal that no waiting mends.
    ///
    /// If the broker refuses the metadata text of all commits, no offset is ever committed. The
    /// consumer then ends, because a restart would process all its records again.
    #[cold]
    fn refused(&self, code: ErrorCode, offset: &Committable, error: Error) -> Error {
        let is_text = matches!(
            code,
            ErrorCode::OFFSET_METADATA_TOO_LARGE | ErrorCode::INVALID_COMMIT_OFFSET_SIZE
        );
        if !is_text || offset.metadata.is_some() {
            return error;
        }
        let error = error.setting("commit_metadata");
        if self.commits.is_automatic() {
            tracing::error!(%error, "no offset can be committed: the consumer ends");
            self.lifecycle.end(End::Failed(error.clone()));
        }
        error
    }
}

/// Subject of a refusal.
enum Subject {
    /// One partition. Waiting does not help.
    Partition,
    /// One partition, and waiting may help. Also used for codes without a known meaning.
    PartitionForNow,
    /// The coordinator or the membership.
    MembershipStamp,
}

/// Returns the subject of a refusal. A code without a known meaning counts as one that may pass.
fn subject(code: ErrorCode) -> Subject {
    match code {
        ErrorCode::OFFSET_METADATA_TOO_LARGE
        | ErrorCode::INVALID_COMMIT_OFFSET_SIZE
        | ErrorCode::TOPIC_AUTHORIZATION_FAILED => Subject::Partition,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::UNKNOWN_SERVER_ERROR => Subject::PartitionForNow,
        _ if code.name().is_none() => Subject::PartitionForNow,
        _ => Subject::MembershipStamp,
    }
}
