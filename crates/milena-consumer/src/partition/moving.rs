//! Changes of a position by other causes than reading and seeking. These are a new leader, a
//! truncated log, and a topic that was created again.

use milena_core::{LeaderEpoch, Offset};
use tokio::time::Instant;
use uuid::Uuid;

use super::{FetchFrom, Partition};

/// The effect of a truncated log on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// No effect, since a seek came first.
    Overtaken,
    /// Only records that were not read yet are gone.
    Unread,
    /// Records that were read are gone. Holds the position before.
    Read(Offset),
}

impl Partition {
    /// Notes the id of the topic. Returns true if it is another topic than before, though with the
    /// same name.
    pub(crate) fn meet_topic(&self, id: Option<Uuid>) -> bool {
        let mut state = self.state.lock();
        let Some(id) = id else { return false };
        let other = state.topic_id.is_some_and(|known| known != id);
        state.topic_id = Some(id);
        if other {
            // Leader epochs of the old topic mean nothing in the new one.
            state.leader_epoch = None;
        }
        other
    }

    /// Moves to `to`, since the topic was created again. Returns the position in the old topic, or
    /// `None` if there was no known one.
    pub(crate) fn made_again(&self, to: FetchFrom) -> Option<Offset> {
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

    /// Notes the leader epoch from metadata. Under a newer leader the position becomes unsure, if
    /// the epoch in which it was read is known. Returns true if it became so.
    pub(crate) fn meet_leader(&self, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        let Some(epoch) = epoch else { return false };
        let newer = state.leader_epoch.is_some_and(|known| epoch > known);
        state.leader_epoch = state.leader_epoch.max(Some(epoch));
        match (state.place, state.last_epoch) {
            (FetchFrom::At(offset), Some(last)) if newer => {
                state.place = FetchFrom::Unsure(offset, last);
                true
            }
            _ => false,
        }
    }

    /// Notes that the leader's log holds the records that were read, so that the position is sure
    /// again.
    pub(crate) fn validated(&self, turn: u64) {
        let mut state = self.state.lock();
        if let FetchFrom::Unsure(offset, _) = state.place
            && state.turn == turn
        {
            state.place = FetchFrom::At(offset);
            state.lookup = (None, 0);
            drop(state);
            self.touch();
        }
    }

    /// Drops the fetched batches, since the log was truncated at `end`. If records that were read
    /// are gone, moves to `to`.
    ///
    /// If only unread records are gone, they are fetched again. From the second time in a row, that
    /// happens after the time that `quiet` returns for the number of times.
    pub(crate) fn cut(
        &self,
        turn: u64,
        end: Option<Offset>,
        to: FetchFrom,
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
                // The broker said that its log holds all records that were read. A further check of
                // the epoch would only bring the same answer.
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
