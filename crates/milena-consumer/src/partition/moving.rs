//! What moves a position besides reading and seeking: another leader, a log that was cut, a topic that was made again.

use milena_core::{LeaderEpoch, Offset};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Partition, Place};

/// What a cut of the log took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// A seek was faster.
    Overtaken,
    /// Only what was not read yet.
    Unread,
    /// What was read, up to this position.
    Read(Offset),
}

impl Partition {
    /// Which topic it is of; `true` when that is another than before, though of the same name.
    pub(crate) fn meet_topic(&self, id: Option<Uuid>) -> bool {
        let mut state = self.state.lock();
        let Some(id) = id else { return false };
        let other = state.topic_id.is_some_and(|known| known != id);
        state.topic_id = Some(id);
        if other {
            // Nothing of the old topic counts in the new one.
            state.leader_epoch = None;
        }
        other
    }

    /// The topic is another one: what was read of it says nothing about this one. Gives the position in the old one.
    pub(crate) fn made_again(&self, to: Place) -> Option<Offset> {
        let mut state = self.state.lock();
        state.absorb();
        state.place.offset()?;
        let from = state.tracker.position();
        state.restart(to);
        state.commits.begin_anew();
        state.reset_from = Some(from);
        drop(state);
        self.readable.notify_waiters();
        self.room.notify_one();
        Some(from)
    }

    /// Who leads, and since which epoch: under a new leader the position is unsure, where it is known in which epoch it was read.
    /// Returns whether it became so.
    pub(crate) fn meet_leader(&self, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        let Some(epoch) = epoch else { return false };
        let newer = state.leader_epoch.is_some_and(|known| epoch > known);
        state.leader_epoch = state.leader_epoch.max(Some(epoch));
        match (state.place, state.last_epoch) {
            (Place::At(offset), Some(last)) if newer => {
                state.place = Place::Unsure(offset, last);
                true
            }
            _ => false,
        }
    }

    /// The leader's log holds what was read.
    pub(crate) fn validated(&self, turn: u64) {
        let mut state = self.state.lock();
        if let Place::Unsure(offset, _) = state.place
            && state.turn == turn
        {
            state.place = Place::At(offset);
            state.lookup = (None, 0);
            drop(state);
            self.touch();
        }
    }

    /// The log parts from what was fetched at `end`: what was fetched of it is dropped; where it was read already, it is read `to`.
    ///
    /// Where only what was not read is gone, it is fetched anew; again and again after the wait that `quiet` gives for the number of
    /// times in a row.
    pub(crate) fn cut(
        &self,
        turn: u64,
        end: Option<Offset>,
        to: Place,
        quiet: impl FnOnce(u32) -> Instant,
    ) -> Cut {
        let mut state = self.state.lock();
        if state.turn != turn || state.place.offset().is_none() {
            return Cut::Overtaken;
        }
        state.absorb();
        let read = state.tracker.position();
        if end.is_some_and(|end| end >= read) {
            state.restart_at(read);
            if state.failures > 0 {
                // All that was read is in the log, and the broker has said so: it is not asked about the epoch again.
                state.last_epoch = None;
                state.quiet_until = Some(quiet(state.failures - 1));
            }
            state.failures = state.failures.saturating_add(1);
            self.tell_of_more(&state);
            drop(state);
            self.touch();
            return Cut::Unread;
        }
        state.restart(to);
        state.commits.begin_anew();
        drop(state);
        self.touch();
        self.readable.notify_waiters();
        self.room.notify_one();
        Cut::Read(read)
    }
}
