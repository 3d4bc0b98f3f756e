//! What the answer to a commit says of each partition, and whom a refusal is about.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use milena_core::{Error, ErrorCode, ErrorKind};
use milena_protocol::messages::OffsetCommitResponse;

use super::Entry;
use crate::core::{Core, End};
use crate::member::{Membership, Pulse, pulse};
use crate::partition::Committable;

/// What an answer says.
#[derive(Default)]
pub(super) struct Answer {
    /// The gravest error of single partitions.
    pub(super) error: Option<Error>,
    /// What was refused of single partitions for now.
    pub(super) refused_for_now: Vec<Entry>,
    /// Why all others were refused: the coordinator or the membership.
    pub(super) whole: Option<Error>,
    /// The others.
    pub(super) again: Vec<Entry>,
}

/// Notes what was committed, and sorts out what was not.
pub(super) fn read(
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
