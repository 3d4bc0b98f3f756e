//! State of one broker that is fetched from. It holds the fetch session and the failures, and
//! orders the partitions of a request.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorKind, NodeId, TopicPartition};
use tokio::time::Instant;

use super::{Asked, leave_out};
use crate::core::Core;
use crate::partition::Partition;
use crate::session::Session;

/// A broker that is fetched from. Written by the fetch task only.
pub(super) struct Node {
    /// The fetch session (KIP-227). While a fetch is in flight it carries the session, and a new
    /// one stands here.
    pub(super) session: Session,
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
    last: Option<TopicPartition>,
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

    /// Sorts a request, and begins after the partition served last.
    pub(super) fn order(&self, asked: &mut [Asked]) {
        asked.sort_by(|a, b| a.partition.place().cmp(b.partition.place()));
        if let Some(last) = &self.last {
            let first = asked.partition_point(|each| each.partition.place() <= last);
            asked.rotate_left(first % asked.len().max(1));
        }
    }

    /// Records a successful fetch. `last` is the last partition that the answer held records of.
    pub(super) fn served(&mut self, asked: &[Asked], last: Option<TopicPartition>) {
        if self.failures > 0 {
            // An answer leaves out partitions without news, so it clears the trouble of all that
            // were asked for.
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

    /// Records a fetch that failed as a whole. Logs it once, notes it with each partition, and does
    /// not ask the broker for a while.
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

    // The answer may be undecodable as a whole, for example over the frame limit. Nothing then
    // shows which partition caused it.

    /// Counts answers that cannot be decoded. After several in a row, the partitions are asked for
    /// one by one. The partition that still fails alone is reported, and no longer blocks the
    /// others.
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
                    let what = "the answers to fetches of the partition cannot be decoded";
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

    /// Removes the entries that must not share a request with the others, or all others. Returns
    /// their partitions.
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
        // Requests alternate between partitions that are asked for alone and the others, so that
        // neither waits for ever.
        let others = asked.iter().any(|each| !is_apart(each));
        self.was_apart = !(others && self.was_apart);
        if self.was_apart {
            return leave_out(asked, |each| *each.partition.place() == alone);
        }
        leave_out(asked, |each| !is_apart(each))
    }
}

/// Number of undecodable answers in a row after which partitions are asked for one by one, and
/// after which the one at fault is reported.
const UNREADABLE: u32 = 3;
/// First and longest wait of a fetch at the broker while a full partition is left out.
const CROWDED: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));
