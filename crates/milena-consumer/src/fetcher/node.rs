//! What is known of one broker that is fetched from: its session, its failures, and who is asked for first.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorKind, NodeId, TopicPartition};
use tokio::time::Instant;

use super::{Asked, leave_out};
use crate::core::Core;
use crate::partition::Partition;
use crate::session::Session;

pub(super) struct Node {
    pub(super) session: Session,
    /// The bytes asked for by the request in flight.
    pub(super) flying: Option<usize>,
    pub(super) quiet_until: Option<Instant>,
    /// Fetches that failed in a row.
    pub(super) failures: u32,
    /// How long a fetch may be parked, while a partition of the broker is left out since its reader is behind: the reader may be done
    /// much sooner than others have something new.
    pub(super) wait: Option<Duration>,
    /// The last partition that an answer held records of. The one behind it comes first in the next request: without a session a broker
    /// serves in the order of the request, until the answer is full.
    last: Option<TopicPartition>,
    /// Answers in a row that could not be read.
    unreadable: u32,
    /// Partitions that are to be asked for alone, to find the one whose answers cannot be read.
    suspects: HashSet<TopicPartition>,
    /// Whether the last request was for a partition that is always asked for alone.
    was_apart: bool,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            session: Session::new(),
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

    /// Notes whether a full partition is left out of the next fetch. Each time in a row the wait doubles up to a bound: a reader that
    /// is slow costs few fetches, and one that is fast waits about as long as it took.
    pub(super) fn crowd(&mut self, crowded: bool) {
        let next = self.wait.map_or(CROWDED.0, |wait| wait * 2);
        self.wait = crowded.then(|| next.min(CROWDED.1));
    }

    /// Puts a request in order.
    pub(super) fn order(&self, asked: &mut [Asked]) {
        asked.sort_by(|a, b| a.partition.place().cmp(b.partition.place()));
        if let Some(last) = &self.last {
            let first = asked.partition_point(|each| each.partition.place() <= last);
            asked.rotate_left(first % asked.len().max(1));
        }
    }

    /// A fetch was answered well; `last` is the last partition that it brought records of.
    pub(super) fn served(&mut self, asked: &[Asked], last: Option<TopicPartition>) {
        if self.failures > 0 {
            // An answer leaves out the partitions of which it tells nothing new.
            asked
                .iter()
                .for_each(|each| each.partition.broker_answers());
        }
        self.failures = 0;
        self.quiet_until = None;
        self.unreadable = 0;
        self.last = last.or(self.last.take());
        if let [alone] = asked {
            self.suspects.remove(alone.partition.place());
            alone.partition.ask_with_others();
        }
    }

    /// A fetch failed as a whole: told once, and noted with each partition. The broker is left alone for a while.
    pub(super) fn failed(
        &mut self,
        core: &Core,
        id: NodeId,
        asked: &[Asked],
        error: &Error,
        now: Instant,
    ) {
        let mut first = false;
        for each in asked {
            first |= each.partition.troubled_with_broker(now, error);
        }
        if first {
            let partitions = asked.len();
            tracing::warn!(node = %id, %error, partitions, "a fetch failed; it is tried again");
        } else {
            tracing::debug!(node = %id, %error, "a fetch failed again");
        }
        core.tell_fetch_failed(id, None, error);
        self.quiet_until = Some(now + core.cluster.backoff().delay(self.failures));
        self.failures = self.failures.saturating_add(1);
    }

    // An answer that cannot be read, such as one over the frame's limit, is known by none of its partitions.

    /// Where answers cannot be read time after time, partitions are asked for one by one; the one whose answer alone cannot be read
    /// is told, and keeps no other from being read.
    pub(super) fn suspect(&mut self, core: &Core, asked: &[Asked], error: &Error, now: Instant) {
        if error.kind() != ErrorKind::Decode {
            return;
        }
        match asked {
            [alone] => {
                self.suspects.remove(alone.partition.place());
                let backoff = core.cluster.backoff();
                let delay = |failures| backoff.delay(failures);
                if alone.partition.ask_alone(now, delay) >= UNREADABLE {
                    let what = "no answer to a fetch of the partition can be read";
                    let told = Error::new(ErrorKind::Decode, what).with_source(error.clone());
                    let told = told.at(alone.partition.place()).offset(alone.entry.offset);
                    core.tell_fetch_failed(alone.node, Some(alone.partition.place()), &told);
                    alone.partition.fail(alone.turn, told);
                    core.ready.notify_waiters();
                }
            }
            several => {
                self.unreadable = self.unreadable.saturating_add(1);
                if self.unreadable >= UNREADABLE {
                    let places = several.iter().map(|each| each.partition.place().clone());
                    self.suspects.extend(places);
                }
            }
        }
    }

    /// Leaves out what must not be in one request with the others.
    pub(super) fn apart(&mut self, asked: &mut Vec<Asked>) -> Vec<Arc<Partition>> {
        if !self.suspects.is_empty() {
            let there = asked
                .iter()
                .find(|each| self.suspects.contains(each.partition.place()));
            match there.map(|each| each.partition.place().clone()) {
                Some(place) => return leave_out(asked, |each| *each.partition.place() == place),
                None => self.suspects.clear(),
            }
        }
        let is_apart = |each: &Asked| each.partition.is_asked_alone();
        let Some(alone) = asked.iter().find(|each| is_apart(each)) else {
            return Vec::new();
        };
        let alone = alone.partition.place().clone();
        let others = asked.iter().any(|each| !is_apart(each));
        self.was_apart = !(others && self.was_apart);
        if self.was_apart {
            return leave_out(asked, |each| *each.partition.place() == alone);
        }
        leave_out(asked, |each| !is_apart(each))
    }
}

/// After how many answers in a row that cannot be read partitions are asked for one by one, and the one at fault is told.
const UNREADABLE: u32 = 3;
/// How long a fetch is parked, at first and at most, while a full partition is left out.
const CROWDED: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
