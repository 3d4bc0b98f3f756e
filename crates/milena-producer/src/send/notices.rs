//! The log lines about records that are held up, that are no longer held up, or that were given up.
//!
//! There is one line per change and broker, not one per batch. A broker that is down holds up
//! thousands of batches.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use milena_core::{Error, NodeId, TopicPartition};
use tokio::time::Instant;

/// The lines written so far, and those still to write.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// The brokers for which a line says that their partitions are held up, and since when they
    /// are. `None` stands for partitions without a leader.
    held_up: BTreeMap<Option<NodeId>, Instant>,
    /// The time at which to look at the partitions again. `None` while nothing is held up.
    look: Option<Instant>,
    /// The number of records that were given up since the last line about them.
    given_up: u64,
    /// The partition of one of those records, and the reason why it was given up.
    example: Option<(TopicPartition, Error)>,
    /// The time before which no further line about such records is written.
    tell_after: Option<Instant>,
}

/// A partition with records that cannot be written at present.
#[derive(Debug)]
pub(crate) struct HeldUp<'a> {
    /// The partition's leader. `None` if it has none.
    pub(crate) leader: Option<NodeId>,
    /// The time since which records are held up.
    pub(crate) since: Instant,
    /// The topic and the number.
    pub(crate) place: &'a TopicPartition,
    /// The reason.
    pub(crate) error: &'a Error,
}

/// A log line about a broker's partitions.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    /// Records are held up.
    HeldUp {
        /// The number of partitions.
        partitions: usize,
        /// One of them.
        example: HeldUp<'a>,
    },
    /// No record is held up any more.
    Freed {
        /// The broker. `None` stands for partitions without a leader.
        leader: Option<NodeId>,
        /// The time for which records were held up.
        after: Duration,
    },
}

/// The time for which records have to be held up before a line is written. A leader that moves
/// holds its partitions up for some milliseconds.
const LASTS: Duration = Duration::from_secs(1);

/// The time between two lines about records that were given up.
const PAUSE: Duration = Duration::from_secs(1);

impl Notices {
    /// Notes that something may be held up from now on.
    pub(crate) fn trouble(&mut self, now: Instant) {
        self.look.get_or_insert(now + LASTS);
    }

    /// Returns true if it is time to look.
    fn is_due(&self, now: Instant) -> bool {
        self.look.is_some_and(|time| time <= now)
    }

    /// Looks at all partitions that are held up, and returns the lines about changes.
    fn look<'a>(
        &mut self,
        now: Instant,
        held_up: impl Iterator<Item = HeldUp<'a>>,
    ) -> Vec<Line<'a>> {
        let mut brokers: BTreeMap<Option<NodeId>, (usize, HeldUp<'a>)> = BTreeMap::new();
        let mut any = false;
        for one in held_up {
            any = true;
            // A broker that has a line counts for as long as records are held up, even if another
            // record is the oldest by now.
            if one.since + LASTS > now && !self.held_up.contains_key(&one.leader) {
                continue;
            }
            match brokers.get_mut(&one.leader) {
                Some((count, _)) => *count += 1,
                None => drop(brokers.insert(one.leader, (1, one))),
            }
        }
        let mut lines = Vec::new();
        self.held_up.retain(|leader, since| {
            let lasts = brokers.contains_key(leader);
            if !lasts {
                lines.push(Line::Freed {
                    leader: *leader,
                    after: now.saturating_duration_since(*since),
                });
            }
            lasts
        });
        for (leader, (partitions, example)) in brokers {
            if let Entry::Vacant(new) = self.held_up.entry(leader) {
                new.insert(example.since);
                lines.push(Line::HeldUp {
                    partitions,
                    example,
                });
            }
        }
        self.look = any.then_some(now + LASTS);
        lines
    }

    /// Notes records that were given up.
    pub(crate) fn give_up(&mut self, records: u32, place: &TopicPartition, error: &Error) {
        self.given_up += u64::from(records);
        self.example
            .get_or_insert_with(|| (place.clone(), error.clone()));
    }

    /// Writes the lines that are due. `held_up` returns the partitions that are held up, and is
    /// asked only when it is time to look. Returns when to look again.
    pub(crate) fn write<'a, H: Iterator<Item = HeldUp<'a>>>(
        &mut self,
        now: Instant,
        held_up: impl FnOnce() -> H,
    ) -> Option<Instant> {
        if self.is_due(now) {
            for line in self.look(now, held_up()) {
                write(&line, now);
            }
        }
        self.write_given_up(now);
        let again = self.example.as_ref().and(self.tell_after);
        self.look.into_iter().chain(again).min()
    }

    /// Writes how many records were given up, unless there was such a line just now.
    pub(crate) fn write_given_up(&mut self, now: Instant) {
        if let Some((records, partition, error)) = self.take_given_up(now) {
            tracing::warn!(records, %partition, %error, "records were given up");
        }
    }

    /// Returns the number of records that were given up, with an example, if it is time for a line
    /// about them.
    fn take_given_up(&mut self, now: Instant) -> Option<(u64, TopicPartition, Error)> {
        if self.tell_after.is_some_and(|time| time > now) {
            return None;
        }
        let (place, error) = self.example.take()?;
        self.tell_after = Some(now + PAUSE);
        Some((std::mem::take(&mut self.given_up), place, error))
    }
}

/// Writes a line to the log.
fn write(line: &Line<'_>, now: Instant) {
    match line {
        Line::HeldUp {
            partitions,
            example,
        } => {
            let node = example.leader.map(tracing::field::display);
            let since = now.saturating_duration_since(example.since);
            tracing::warn!(
                node, partitions, partition = %example.place, error = %example.error, ?since,
                "records cannot be written at present and are tried again"
            );
        }
        Line::Freed { leader, after } => {
            let node = leader.map(tracing::field::display);
            tracing::info!(node, ?after, "no record is held up any more");
        }
    }
}

#[cfg(test)]
mod tests {
    use milena_core::ErrorKind;

    use super::*;

    fn node(raw: i32) -> Option<NodeId> {
        NodeId::from_wire(raw)
    }

    /// Returns the lines written at `now`, if partitions of these brokers have been held up since
    /// these times.
    fn told(notices: &mut Notices, now: Instant, held_up: &[(i32, Instant)]) -> Vec<String> {
        let (place, error) = (
            TopicPartition::new("orders", 0),
            Error::new(ErrorKind::Transport, "gone"),
        );
        let held_up = held_up.iter().map(|(leader, since)| HeldUp {
            leader: node(*leader),
            since: *since,
            place: &place,
            error: &error,
        });
        let lines = notices.look(now, held_up);
        let text = |line: &Line<'_>| match line {
            Line::HeldUp {
                partitions,
                example,
            } => format!("{partitions} of {}", example.leader.unwrap()),
            Line::Freed { leader, after } => format!("{} after {after:?}", leader.unwrap()),
        };
        lines.iter().map(text).collect()
    }

    #[test]
    fn each_broker_is_told_once_when_it_lasts_and_once_when_it_is_over() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        notices.trouble(start);
        assert!(!notices.is_due(start) && notices.is_due(start + LASTS));
        let one = [(1, start), (1, start), (2, start + LASTS / 2)];
        assert_eq!(told(&mut notices, start + LASTS, &one), ["2 of 1"]);
        assert_eq!(told(&mut notices, start + 2 * LASTS, &one), ["1 of 2"]);
        assert!(told(&mut notices, start + 9 * LASTS, &one).is_empty());
        let two = [(2, start + 9 * LASTS)];
        assert_eq!(
            told(&mut notices, start + 10 * LASTS, &two),
            ["1 after 10s"]
        );
        assert_eq!(
            told(&mut notices, start + 11 * LASTS, &[]),
            ["2 after 10.5s"]
        );
        assert!(!notices.is_due(start + 99 * LASTS));
    }

    #[test]
    fn what_passes_soon_is_not_told() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        assert!(told(&mut notices, start + LASTS / 2, &[(1, start)]).is_empty());
        assert!(told(&mut notices, start + LASTS, &[]).is_empty());
    }

    #[test]
    fn records_that_are_given_up_are_told_together() {
        let (mut notices, now) = (Notices::default(), Instant::now());
        let (place, error) = (
            TopicPartition::new("orders", 0),
            Error::new(ErrorKind::Timeout, "late"),
        );
        assert!(notices.take_given_up(now).is_none());
        notices.give_up(2, &place, &error);
        notices.give_up(3, &place, &error);
        assert_eq!(notices.take_given_up(now).map(|told| told.0), Some(5));
        notices.give_up(4, &place, &error);
        assert!(notices.take_given_up(now + PAUSE / 2).is_none());
        assert_eq!(
            notices.take_given_up(now + PAUSE).map(|told| told.0),
            Some(4)
        );
    }
}
