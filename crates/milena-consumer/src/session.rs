//! A fetch session with one broker. Requests name only the partitions that changed (KIP-227).

use std::collections::BTreeMap;

use milena_core::{ErrorCode, TopicPartition};
use milena_protocol::fetch::{FetchPartition, FetchSession, ForgottenPartition};

/// The state of a fetch session that one broker keeps for this consumer. Has no side effects. The
/// fetcher sends what it plans.
#[derive(Debug)]
pub(crate) struct Session {
    /// The session id and epoch of the next request. Epoch 0 asks for a new session, with all
    /// partitions.
    at: FetchSession,
    /// True if the session names topics by id.
    by_id: bool,
    /// The partitions of the session, as the broker knows them after the last planned request.
    known: BTreeMap<TopicPartition, FetchPartition>,
}

/// The content of the next fetch request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// The session id and epoch to send.
    pub(crate) session: FetchSession,
    /// Partitions that are new or changed. All of them in a full request.
    pub(crate) partitions: Vec<FetchPartition>,
    /// Partitions to remove from the session. Empty in a full request.
    pub(crate) forgotten: Vec<ForgottenPartition>,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            at: FetchSession::OPEN,
            by_id: false,
            known: BTreeMap::new(),
        }
    }

    /// Plans the next request, so that the broker serves exactly `wanted`. `by_id` is true if
    /// topics are named by id.
    pub(crate) fn plan(&mut self, wanted: Vec<FetchPartition>, by_id: bool) -> Planned {
        if self.by_id != by_id {
            self.restart();
            self.by_id = by_id;
        }
        let full = self.at.epoch == 0;
        let mut forgotten = Vec::new();
        let mut partitions = Vec::new();
        let mut known = BTreeMap::new();
        for entry in wanted {
            let place = place(&entry);
            let told = self.known.remove(&place);
            let same = told.as_ref() == Some(&entry);
            if let Some(old) = told.filter(|old| old.topic_id != entry.topic_id) {
                // The topic was deleted and created again. The broker knows the old one by its id.
                forgotten.push(forget(old));
            }
            if full || !same {
                partitions.push(entry.clone());
            }
            known.insert(place, entry);
        }
        let left = std::mem::replace(&mut self.known, known);
        // A full request replaces the session, so nothing must be removed from it.
        if full {
            forgotten.clear();
        } else {
            forgotten.extend(left.into_values().map(forget));
        }
        Planned {
            session: self.at,
            partitions,
            forgotten,
        }
    }

    /// Notes that the broker answered without an error, under this session id.
    pub(crate) fn answered(&mut self, id: i32) {
        if id == 0 {
            // The broker opened no session. The next request is full and asks for one again.
            self.at = FetchSession::OPEN;
            self.known.clear();
        } else if self.at.epoch == 0 || self.at.id != id {
            self.at = FetchSession { id, epoch: 1 };
        } else {
            self.at.epoch = self.at.epoch.checked_add(1).unwrap_or(1);
        }
    }

    /// Notes that the broker refused the whole request. Returns true if the session was the reason,
    /// so that the next full request may be sent at once.
    pub(crate) fn refused(&mut self, code: ErrorCode) -> bool {
        let gone = code == ErrorCode::FETCH_SESSION_ID_NOT_FOUND;
        if gone {
            self.at = FetchSession::OPEN;
            self.known.clear();
        } else {
            self.restart();
        }
        gone || matches!(
            code,
            ErrorCode::INVALID_FETCH_SESSION_EPOCH | ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR
        )
    }

    /// Starts the session over, since it is unknown whether the broker got the last request. The
    /// next request closes the old session and opens another.
    pub(crate) fn restart(&mut self) {
        self.at = FetchSession {
            id: self.at.id,
            epoch: 0,
        };
        self.known.clear();
    }
}

fn place(entry: &FetchPartition) -> TopicPartition {
    TopicPartition {
        topic: entry.topic.clone(),
        partition: entry.partition,
    }
}

fn forget(entry: FetchPartition) -> ForgottenPartition {
    ForgottenPartition {
        topic: entry.topic,
        topic_id: entry.topic_id,
        partition: entry.partition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(partition: u32, offset: u32) -> FetchPartition {
        FetchPartition {
            topic: "t".into(),
            topic_id: None,
            partition: partition.into(),
            offset: offset.into(),
            leader_epoch: None,
            last_fetched_epoch: None,
            max_bytes: 100,
        }
    }

    fn opened() -> Session {
        let mut session = Session::new();
        let first = session.plan(vec![want(0, 5), want(1, 7)], false);
        assert_eq!(first.session, FetchSession::OPEN);
        assert_eq!(first.partitions.len(), 2);
        session.answered(42);
        session
    }

    #[test]
    fn within_a_session_only_changes_are_sent() {
        let mut session = opened();
        let next = session.plan(vec![want(0, 9), want(1, 7)], false);
        assert_eq!(next.session, FetchSession { id: 42, epoch: 1 });
        assert_eq!(next.partitions, [want(0, 9)]);
        assert!(next.forgotten.is_empty());
        session.answered(42);
        assert_eq!(session.plan(vec![], false).session.epoch, 2);
    }

    #[test]
    fn a_partition_that_is_not_wanted_now_is_forgotten_and_later_sent_again() {
        let mut session = opened();
        let next = session.plan(vec![want(0, 5)], false);
        assert!(next.partitions.is_empty());
        assert_eq!(next.forgotten, [forget(want(1, 7))]);
        session.answered(42);
        let next = session.plan(vec![want(0, 5), want(1, 7)], false);
        assert_eq!(next.partitions, [want(1, 7)]);
    }

    #[test]
    fn an_unknown_outcome_closes_the_session_and_opens_another_in_full() {
        let mut session = opened();
        session.plan(vec![want(0, 6), want(1, 7)], false);
        session.restart();
        let next = session.plan(vec![want(0, 6), want(1, 7)], false);
        assert_eq!(next.session, FetchSession { id: 42, epoch: 0 });
        assert_eq!(next.partitions.len(), 2);
        session.answered(43);
        let next = session.plan(vec![want(0, 6), want(1, 7)], false);
        assert_eq!(next.session, FetchSession { id: 43, epoch: 1 });
    }

    #[test]
    fn a_session_that_the_broker_lost_starts_without_an_id() {
        let mut session = opened();
        assert!(session.refused(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
        assert_eq!(session.plan(vec![], false).session, FetchSession::OPEN);
        assert!(!session.refused(ErrorCode::UNKNOWN_SERVER_ERROR));
    }

    #[test]
    fn without_a_session_every_request_is_full() {
        let mut session = Session::new();
        session.plan(vec![want(0, 5)], false);
        session.answered(0);
        let next = session.plan(vec![want(0, 5)], false);
        assert_eq!(next.session, FetchSession::OPEN);
        assert_eq!(next.partitions.len(), 1);
    }

    #[test]
    fn the_epoch_goes_round_past_zero() {
        let mut session = opened();
        session.at.epoch = i32::MAX;
        session.answered(42);
        assert_eq!(session.at.epoch, 1);
    }
}
