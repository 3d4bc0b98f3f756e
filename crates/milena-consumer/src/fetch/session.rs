//! A fetch session with one broker. Requests name only the partitions that changed (KIP-227).

use std::collections::{BTreeMap, BTreeSet};

use milena_core::{ErrorCode, TopicPartition};
use milena_protocol::fetch::{FetchPartition, FetchSession, ForgottenPartition};
use uuid::Uuid;

/// The state of a fetch session that one broker keeps for this consumer. Has no side effects. The
/// fetcher says what the broker is to serve, and sends what the session plans.
#[derive(Debug)]
pub(crate) struct Session {
    /// The session id and epoch of the next request. Epoch 0 asks for a new session, with all
    /// partitions.
    at: FetchSession,
    /// True if the session names topics by id.
    by_id: bool,
    /// The partitions that the broker is to serve.
    wanted: BTreeMap<TopicPartition, Wanted>,
    /// The partitions of `wanted` that are new or changed since the last planned request.
    changed: BTreeSet<TopicPartition>,
    /// Partitions that the broker serves in the session and is to serve no longer, each with the
    /// topic id under which the broker knows it.
    gone: BTreeSet<(TopicPartition, Option<Uuid>)>,
    /// Number of partitions in `wanted` whose topic id is unknown.
    without_id: usize,
    /// Sum of the `max_bytes` of all entries in `wanted`.
    max_bytes: usize,
}

/// A partition that the broker is to serve.
#[derive(Debug)]
struct Wanted {
    /// Its entry in a request.
    entry: FetchPartition,
    /// True if the session has the partition since the last planned request.
    is_told: bool,
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
            wanted: BTreeMap::new(),
            changed: BTreeSet::new(),
            gone: BTreeSet::new(),
            without_id: 0,
            max_bytes: 0,
        }
    }

    /// Has the broker serve a partition with this entry from the next request on.
    pub(crate) fn want(&mut self, entry: FetchPartition) {
        let place = place(&entry);
        let before = self.wanted.get(&place);
        if before.is_some_and(|before| before.entry == entry) {
            return;
        }
        let again = self.gone.remove(&(place.clone(), self.id_of(&entry)));
        let is_told = again | self.put_away(&place, self.id_of(&entry));
        self.without_id += usize::from(entry.topic_id.is_none());
        self.max_bytes += entry.max_bytes as usize;
        self.changed.insert(place.clone());
        self.wanted.insert(place, Wanted { entry, is_told });
    }

    /// Has the broker serve a partition no longer.
    pub(crate) fn leave(&mut self, place: &TopicPartition) {
        let known = self.wanted.get(place);
        let id = known.and_then(|known| self.id_of(&known.entry));
        if self.put_away(place, id) {
            self.gone.insert((place.clone(), id));
        }
        self.changed.remove(place);
    }

    /// Removes the entry of a partition whose next entry has the topic id `next`. Returns true if
    /// the session has the partition, and the next entry replaces that.
    fn put_away(&mut self, place: &TopicPartition, next: Option<Uuid>) -> bool {
        let Some(Wanted { entry, is_told }) = self.wanted.remove(place) else {
            return false;
        };
        self.without_id -= usize::from(entry.topic_id.is_none());
        self.max_bytes -= entry.max_bytes as usize;
        let id = self.id_of(&entry);
        if is_told && id != next {
            // The topic was deleted and created again. The broker knows the old one by its id.
            self.gone.insert((place.clone(), id));
        }
        is_told && id == next
    }

    /// Returns the topic id by which the session knows a partition. `None` if the session names
    /// topics by their names, and then knows no difference between a topic and its successor.
    fn id_of(&self, entry: &FetchPartition) -> Option<Uuid> {
        entry.topic_id.filter(|_| self.by_id)
    }

    /// Returns the number of partitions that the broker is to serve.
    pub(crate) fn len(&self) -> usize {
        self.wanted.len()
    }

    /// Returns the sum of the bytes that the partitions ask for.
    pub(crate) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Returns true if the topic ids of all partitions are known.
    pub(crate) fn has_ids(&self) -> bool {
        self.without_id == 0
    }

    /// Plans the next request, so that the broker serves exactly the wanted partitions. `by_id` is
    /// true if topics are named by id. The partitions come in order, and those after `last` first.
    pub(crate) fn plan(&mut self, by_id: bool, last: Option<&TopicPartition>) -> Planned {
        if self.by_id != by_id {
            self.restart();
            self.by_id = by_id;
        }
        let full = self.at.epoch == 0;
        let changed = std::mem::take(&mut self.changed);
        let gone = std::mem::take(&mut self.gone);
        let mut partitions: Vec<_> = if full {
            self.wanted.values_mut().map(Wanted::tell).collect()
        } else {
            changed
                .iter()
                .filter_map(|place| self.wanted.get_mut(place).map(Wanted::tell))
                .collect()
        };
        if let Some(last) = last {
            let first = partitions.partition_point(|entry| {
                (&*entry.topic, entry.partition) <= (&*last.topic, last.partition)
            });
            let all = partitions.len().max(1);
            partitions.rotate_left(first % all);
        }
        // A full request replaces the session, so nothing must be removed from it.
        let forgotten = gone.into_iter().filter(|_| !full).map(forget).collect();
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
            self.tell_all();
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
            self.tell_all();
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
        self.tell_all();
    }

    /// Makes the next request a full one, which tells the broker all partitions again.
    fn tell_all(&mut self) {
        for wanted in self.wanted.values_mut() {
            wanted.is_told = false;
        }
        self.gone.clear();
    }
}

impl Wanted {
    /// Returns the entry for a request, and notes that the broker is told.
    fn tell(&mut self) -> FetchPartition {
        self.is_told = true;
        self.entry.clone()
    }
}

fn place(entry: &FetchPartition) -> TopicPartition {
    TopicPartition {
        topic: entry.topic.clone(),
        partition: entry.partition,
    }
}

fn forget((place, topic_id): (TopicPartition, Option<Uuid>)) -> ForgottenPartition {
    ForgottenPartition {
        topic: place.topic,
        topic_id,
        partition: place.partition,
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
        session.want(want(0, 5));
        session.want(want(1, 7));
        let first = session.plan(false, None);
        assert_eq!(first.session, FetchSession::OPEN);
        assert_eq!(first.partitions, [want(0, 5), want(1, 7)]);
        session.answered(42);
        session
    }

    fn forgotten(partition: u32) -> ForgottenPartition {
        forget((place(&want(partition, 0)), None))
    }

    #[test]
    fn within_a_session_only_changes_are_sent() {
        let mut session = opened();
        session.want(want(0, 9));
        session.want(want(1, 7));
        let next = session.plan(false, None);
        assert_eq!(next.session, FetchSession { id: 42, epoch: 1 });
        assert_eq!(next.partitions, [want(0, 9)]);
        assert!(next.forgotten.is_empty());
        session.answered(42);
        let next = session.plan(false, None);
        assert_eq!((next.session.epoch, next.partitions.len()), (2, 0));
    }

    #[test]
    fn a_partition_that_is_not_wanted_now_is_forgotten_and_later_sent_again() {
        let mut session = opened();
        session.leave(&place(&want(1, 7)));
        let next = session.plan(false, None);
        assert!(next.partitions.is_empty());
        assert_eq!(next.forgotten, [forgotten(1)]);
        session.answered(42);
        session.want(want(1, 7));
        let next = session.plan(false, None);
        assert_eq!(next.partitions, [want(1, 7)]);
        assert!(next.forgotten.is_empty());
    }

    // A broker adds partitions before it removes those to forget, so one that is in both lists
    // would be lost.
    #[test]
    fn a_partition_that_is_left_and_wanted_again_between_two_requests_is_not_forgotten() {
        let mut session = opened();
        session.leave(&place(&want(1, 7)));
        session.want(want(1, 8));
        let next = session.plan(false, None);
        assert_eq!(next.partitions, [want(1, 8)]);
        assert!(next.forgotten.is_empty());
        session.answered(42);
        session.leave(&place(&want(1, 8)));
        assert_eq!(session.plan(false, None).forgotten, [forgotten(1)]);
    }

    #[test]
    fn a_partition_that_was_never_sent_is_not_forgotten() {
        let mut session = opened();
        session.want(want(2, 0));
        session.leave(&place(&want(2, 0)));
        let next = session.plan(false, None);
        assert_eq!((next.partitions, next.forgotten), (vec![], vec![]));
    }

    #[test]
    fn a_topic_that_was_created_again_is_forgotten_by_its_old_id_and_never_by_its_name() {
        let made = |id: u128| FetchPartition {
            topic_id: Some(Uuid::from_u128(id)),
            ..want(0, 5)
        };
        for (by_id, expected) in [(true, vec![Some(Uuid::from_u128(1))]), (false, vec![])] {
            let mut session = Session::new();
            session.want(made(1));
            session.plan(by_id, None);
            session.answered(42);
            session.want(made(2));
            let next = session.plan(by_id, None);
            assert_eq!(next.partitions, [made(2)]);
            let ids: Vec<_> = next.forgotten.iter().map(|each| each.topic_id).collect();
            assert_eq!(ids, expected);
        }
    }

    #[test]
    fn a_full_request_begins_after_the_partition_that_was_served_last() {
        let mut session = Session::new();
        for partition in 0..3 {
            session.want(want(partition, 5));
        }
        let next = session.plan(false, Some(&place(&want(1, 5))));
        assert_eq!(next.partitions, [want(2, 5), want(0, 5), want(1, 5)]);
        session.restart();
        let next = session.plan(false, Some(&place(&want(2, 5))));
        assert_eq!(next.partitions.first(), Some(&want(0, 5)));
    }

    #[test]
    fn the_sums_follow_the_partitions() {
        let mut session = opened();
        assert_eq!((session.max_bytes(), session.has_ids()), (200, false));
        let with_id = |partition| FetchPartition {
            topic_id: Some(Uuid::from_u128(1)),
            max_bytes: 50,
            ..want(partition, 0)
        };
        session.want(with_id(0));
        assert_eq!((session.max_bytes(), session.has_ids()), (150, false));
        session.leave(&place(&want(1, 0)));
        assert_eq!((session.max_bytes(), session.has_ids()), (50, true));
        session.leave(&place(&want(1, 0)));
        assert_eq!((session.max_bytes(), session.len()), (50, 1));
    }

    #[test]
    fn an_unknown_outcome_closes_the_session_and_opens_another_in_full() {
        let mut session = opened();
        session.want(want(0, 6));
        session.plan(false, None);
        session.leave(&place(&want(1, 7)));
        session.restart();
        session.want(want(1, 7));
        let next = session.plan(false, None);
        assert_eq!(next.session, FetchSession { id: 42, epoch: 0 });
        assert_eq!((next.partitions.len(), next.forgotten.len()), (2, 0));
        session.answered(43);
        let next = session.plan(false, None);
        assert_eq!(next.session, FetchSession { id: 43, epoch: 1 });
    }

    #[test]
    fn a_session_that_the_broker_lost_starts_without_an_id() {
        let mut session = opened();
        assert!(session.refused(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
        let next = session.plan(false, None);
        assert_eq!(
            (next.session, next.partitions.len()),
            (FetchSession::OPEN, 2)
        );
        assert!(!session.refused(ErrorCode::UNKNOWN_SERVER_ERROR));
    }

    #[test]
    fn without_a_session_every_request_is_full() {
        let mut session = Session::new();
        session.want(want(0, 5));
        session.plan(false, None);
        session.answered(0);
        let next = session.plan(false, None);
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
