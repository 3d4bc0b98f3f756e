//! State of one broker that is fetched from. It holds the partitions to ask for, the fetch session
//! and the failures, and chooses the partitions of a request.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Error, ErrorKind, NodeId, TopicPartition};
use tokio::time::Instant;

use super::asked::Asked;
use super::fetch_set::FetchSet;
use super::session::Session;
use super::waiting::{Key, key};
use crate::partition::Partition;
use crate::reports::Reports;
use crate::wakes::Wakes;

/// A broker that is fetched from. Written by the fetch task only.
pub(super) struct Node {
    /// The fetch session (KIP-227). While a fetch is in flight it carries the session, and a new
    /// one stands here.
    pub(super) session: Session,
    /// Partitions to ask for. Changed between two fetches only, so an answer finds each partition
    /// as it was asked for.
    pub(super) fetch_set: FetchSet,
    /// Partitions to look at before the next request, since they may have changed.
    changed: HashMap<Key, Arc<Partition>>,
    /// Partitions of `fetch_set` that the session leaves out, for example while memory is short.
    left_out: BTreeSet<TopicPartition>,
    /// True if a partition changed, or an answer came, since the last request.
    pub(super) has_news: bool,
    /// True if the assignment changed since the last request. Some of `fetch_set` may then be
    /// revoked.
    pub(super) reassigned: bool,
    /// Time at which all of `fetch_set` was last looked at. `None` if it never was.
    swept: Option<Instant>,
    /// Bytes asked for by the request in flight. `None` if there is none.
    pub(super) flying: Option<usize>,
    /// Time until which the broker is not asked. `None` if its last fetch succeeded.
    pub(super) quiet_until: Option<Instant>,
    /// Number of fetches in a row that failed.
    pub(super) failures: u32,
    /// Longest time that the broker may hold the next fetch. `None` means `fetch_max_wait`.
    ///
    /// It is set while a partition of the broker is left out because its reader is behind. The
    /// reader may need more records much sooner than the other partitions get new ones.
    pub(super) wait: Option<Duration>,
    /// Last partition that an answer held records of. The partition after it comes first in the
    /// next request. Without a session, a broker serves the partitions in the order of the request
    /// until the answer is full.
    pub(super) last: Option<TopicPartition>,
    /// Number of answers in a row that could not be decoded.
    unreadable: u32,
    /// Partitions to ask for one by one, to find the one whose answers cannot be decoded.
    suspects: HashSet<TopicPartition>,
    /// True if the last request was for one of the partitions that are always asked for alone.
    was_apart: bool,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            session: Session::new(),
            fetch_set: FetchSet::default(),
            changed: HashMap::new(),
            left_out: BTreeSet::new(),
            has_news: false,
            reassigned: false,
            swept: None,
            flying: None,
            quiet_until: None,
            failures: 0,
            wait: None,
            last: None,
            unreadable: 0,
            suspects: HashSet::new(),
            was_apart: false,
        }
    }

    /// Records if a full partition is left out of the next fetch. The wait doubles each time in a
    /// row, up to a bound. A slow reader then costs few fetches, and a fast one waits about as long
    /// as it took to read.
    pub(super) fn crowd(&mut self, crowded: bool) {
        let next = self.wait.map_or(CROWDED.0, |wait| wait * 2);
        self.wait = crowded.then(|| next.min(CROWDED.1));
    }

    /// Notes that a partition may have changed. It is looked at before the next request.
    pub(super) fn change(&mut self, partition: &Arc<Partition>) {
        self.changed.insert(key(partition), Arc::clone(partition));
        self.has_news = true;
    }

    /// Takes the partitions to look at before the next request.
    pub(super) fn take_changed(&mut self) -> Vec<Arc<Partition>> {
        self.has_news = false;
        std::mem::take(&mut self.changed).into_values().collect()
    }

    /// Returns true if there is a partition to ask for, or one to look at.
    pub(super) fn has_work(&self) -> bool {
        !self.fetch_set.is_empty() || !self.changed.is_empty()
    }

    /// Asks for a partition from the next request on.
    pub(super) fn put(&mut self, asked: Asked) {
        if !self.left_out.contains(asked.partition.place()) {
            self.session.want(asked.entry.clone());
        }
        self.fetch_set.put(asked);
    }

    /// Asks for a partition no longer.
    pub(super) fn remove(&mut self, partition: &Arc<Partition>) {
        if self.fetch_set.remove(partition) {
            self.session.leave(partition.place());
        }
    }

    /// Removes the partitions that are no longer assigned.
    pub(super) fn keep_only(&mut self, partitions: &[Arc<Partition>]) {
        let kept: HashSet<_> = partitions.iter().map(key).collect();
        let fetch_set = self.fetch_set.iter().map(|asked| &asked.partition);
        let gone: Vec<_> = fetch_set
            .filter(|partition| !kept.contains(&key(partition)))
            .cloned()
            .collect();
        for partition in gone {
            self.remove(&partition);
        }
        self.changed.retain(|key, _| kept.contains(key));
        self.reassigned = false;
    }

    /// Chooses the partitions of the next request. Leaves out those that must not share it with the
    /// others, and while memory is short those with records that wait to be read.
    pub(super) fn choose(&mut self, short: bool) {
        let mut left = match short {
            true => self.fetch_set.unread().clone(),
            false => BTreeSet::new(),
        };
        self.set_apart(&mut left);
        for place in self.left_out.difference(&left) {
            if let Some(asked) = self.fetch_set.get(place) {
                self.session.want(asked.entry.clone());
            }
        }
        for place in &left {
            self.session.leave(place);
        }
        self.left_out = left;
    }

    /// Returns the partitions of the request in flight or of the last one.
    fn asked(&self) -> impl Iterator<Item = &Asked> {
        let all = self.fetch_set.iter();
        all.filter(|asked| !self.left_out.contains(asked.partition.place()))
    }

    /// Notes that the broker has answered about all its partitions. Each log end that the answer
    /// did not report is as before.
    pub(super) fn end_asked(&self, now: Instant) {
        let asked = self.asked().map(|asked| &asked.partition);
        asked
            .filter(|partition| !partition.is_refused())
            .for_each(|partition| partition.end_asked(now));
    }

    /// Returns true once a second, when all partitions are to be compared with what they ask for.
    pub(super) fn is_to_sweep(&mut self, now: Instant) -> bool {
        let due = self.swept.is_none_or(|at| now >= at + SWEEP);
        if due {
            self.swept = Some(now);
        }
        due
    }

    /// Records a successful fetch. `last` is the last partition that the answer held records of.
    pub(super) fn served(&mut self, last: Option<TopicPartition>) {
        if self.failures > 0 {
            // An answer leaves out partitions without news, so it clears the trouble of all that
            // were asked for.
            self.asked()
                .for_each(|each| each.partition.broker_answers());
        }
        self.failures = 0;
        self.quiet_until = None;
        self.unreadable = 0;
        self.last = last.or(self.last.take());
        if let Some(alone) = self.asked_alone() {
            alone.ask_with_others();
            alone.touch();
            self.suspects.remove(alone.place());
        }
    }

    /// Returns the partition of the last request if it was for one partition alone.
    fn asked_alone(&self) -> Option<Arc<Partition>> {
        if self.fetch_set.len().saturating_sub(self.left_out.len()) > 1 {
            return None;
        }
        let mut asked = self.asked();
        let first = asked.next()?;
        asked.next().is_none().then(|| Arc::clone(&first.partition))
    }

    /// Records a fetch that failed as a whole. Logs it once, notes it with each partition, and does
    /// not ask the broker for a while.
    pub(super) fn failed(&mut self, id: NodeId, error: &Error, now: Instant, backoff: Backoff) {
        let (mut first, mut partitions) = (false, 0);
        for each in self.asked() {
            first |= each.partition.troubled_with_broker(now, error);
            partitions += 1;
        }
        if first {
            tracing::warn!(node = %id, %error, partitions, "a fetch failed; it is tried again");
        } else {
            tracing::debug!(node = %id, %error, "a fetch failed again");
        }
        self.quiet_until = Some(now + backoff.delay(self.failures));
        self.failures = self.failures.saturating_add(1);
    }

    // The answer may be undecodable as a whole, for example over the frame limit. Nothing then
    // shows which partition caused it.

    /// Counts answers that cannot be decoded. After several in a row, the partitions are asked for
    /// one by one. Returns the partition that still fails alone, and no longer blocks the
    /// others.
    pub(super) fn suspect(
        &mut self,
        error: &Error,
        now: Instant,
        backoff: Backoff,
    ) -> Option<Suspect> {
        if error.kind() != ErrorKind::Decode {
            return None;
        }
        let Some(alone) = self.asked_alone() else {
            self.unreadable = self.unreadable.saturating_add(1);
            if self.unreadable >= UNREADABLE {
                let places = self.asked().map(|each| each.partition.place().clone());
                let places: Vec<_> = places.collect();
                self.suspects.extend(places);
            }
            return None;
        };
        let place = alone.place();
        self.suspects.remove(place);
        let delay = |failures| backoff.delay(failures);
        if alone.ask_alone(now, delay) < UNREADABLE {
            return None;
        }
        let asked = self.fetch_set.get(place)?;
        let what = "the answers to fetches of the partition cannot be decoded";
        let told = Error::new(ErrorKind::Decode, what).with_source(error.clone());
        Some(Suspect {
            node: asked.node,
            turn: asked.wish.turn,
            error: told.at(place).offset(asked.entry.offset),
            partition: alone,
        })
    }

    /// Adds the partitions to `left` that must not share a request with the others, or all others.
    fn set_apart(&mut self, left: &mut BTreeSet<TopicPartition>) {
        let is_there =
            |place: &&TopicPartition| self.fetch_set.get(place).is_some() && !left.contains(*place);
        if let Some(place) = self.suspects.iter().find(is_there).cloned() {
            self.leave_all_but(&place, left);
            return;
        }
        let alone = self.fetch_set.alone().iter().find(is_there).cloned();
        self.suspects.clear();
        let Some(alone) = alone else {
            return;
        };
        // Requests alternate between partitions that are asked for alone and the others, so that
        // neither waits for ever.
        let is_other = |asked: &&Asked| !asked.is_alone && !left.contains(asked.partition.place());
        let others = self.fetch_set.iter().any(|asked| is_other(&asked));
        self.was_apart = !(others && self.was_apart);
        if self.was_apart {
            self.leave_all_but(&alone, left);
        } else {
            left.extend(self.fetch_set.alone().iter().cloned());
        }
    }

    /// Adds all partitions but one to `left`.
    fn leave_all_but(&self, place: &TopicPartition, left: &mut BTreeSet<TopicPartition>) {
        let all = self.fetch_set.iter().map(|asked| asked.partition.place());
        left.extend(all.filter(|other| *other != place).cloned());
    }
}

/// A partition whose answers cannot be decoded.
pub(super) struct Suspect {
    /// Broker that was asked.
    node: NodeId,
    /// The partition.
    partition: Arc<Partition>,
    /// The partition's `turn` when it was asked about.
    turn: u64,
    /// Error for its reader.
    error: Error,
}

impl Suspect {
    /// Passes the error to the observers and to the partition's reader.
    pub(super) fn tell(self, reports: &Reports, wakes: &Wakes) {
        reports.fetch_failed(self.node, Some(self.partition.place()), &self.error);
        self.partition.fail(self.turn, self.error);
        wakes.wake_receivers();
    }
}

/// Time between two looks at all partitions of a broker. It bounds for how long a change can stay
/// unseen that nothing told the fetch task, and how old the report of an idle log's end can become.
const SWEEP: Duration = Duration::from_secs(1);
/// Number of undecodable answers in a row after which partitions are asked for one by one, and
/// after which the one at fault is reported.
const UNREADABLE: u32 = 3;
/// First and longest wait of a fetch at the broker while a full partition is left out.
const CROWDED: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
