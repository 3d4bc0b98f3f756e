//! The place at which a partition is fetched next, and the facts about its topic that can change
//! it.

use milena_core::{LeaderEpoch, Offset, OffsetReset};
use uuid::Uuid;

/// The place at which a partition is fetched next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchFrom {
    /// The committed offset of the group, which is not known yet.
    Committed,
    /// An offset that must be looked up in the log. [`OffsetReset::None`] stands for an error that
    /// only a seek ends.
    Lookup(OffsetReset),
    /// This offset, once the leader confirms that its log still holds the record before it, which
    /// was read in this epoch.
    Unsure(Offset, LeaderEpoch),
    /// This offset.
    At(Offset),
}

impl FetchFrom {
    /// Returns the offset. `None` if it must be looked up.
    pub(super) fn offset(self) -> Option<Offset> {
        match self {
            Self::At(offset) | Self::Unsure(offset, _) => Some(offset),
            Self::Committed | Self::Lookup(_) => None,
        }
    }
}

/// The point of a partition's log from which the next fetch reads.
#[derive(Debug)]
pub(super) struct Cursor {
    /// The place to fetch next.
    from: FetchFrom,
    /// Counts the times that fetched batches became stale, such as by a seek, a reset or a
    /// truncated log. An answer or a batch with another turn is dropped.
    turn: u64,
    /// The leader epoch of the last batch that was fetched, with which a fetch and a check of the
    /// position detect a truncated log. `None` if it is unknown.
    last_epoch: Option<LeaderEpoch>,
    /// The id of the topic, from metadata. `None` until it is known. Another id means that the
    /// topic was created again.
    topic_id: Option<Uuid>,
    /// The highest leader epoch that metadata has shown. `None` until one is known.
    leader_epoch: Option<LeaderEpoch>,
    /// The position that was out of range, until its replacement is found. `None` otherwise.
    reset_from: Option<Offset>,
}

impl Cursor {
    /// Returns a cursor that fetches from `start`.
    pub(super) fn new(start: FetchFrom) -> Self {
        Self {
            from: start,
            turn: 0,
            last_epoch: None,
            topic_id: None,
            leader_epoch: None,
            reset_from: None,
        }
    }

    /// Returns the place to fetch next.
    pub(super) fn from(&self) -> FetchFrom {
        self.from
    }

    /// Returns the offset to fetch next. `None` if it must be looked up.
    pub(super) fn offset(&self) -> Option<Offset> {
        self.from.offset()
    }

    /// Returns the current turn.
    pub(super) fn turn(&self) -> u64 {
        self.turn
    }

    /// Returns the leader epoch of the last batch that was fetched. `None` if it is unknown.
    pub(super) fn last_epoch(&self) -> Option<LeaderEpoch> {
        self.last_epoch
    }

    /// Returns the position that was out of range, until its replacement is found.
    pub(super) fn reset_from(&self) -> Option<Offset> {
        self.reset_from
    }

    /// Returns true if `turn` is current and the next fetch is at `offset`.
    pub(super) fn is_at(&self, turn: u64, offset: Offset) -> bool {
        self.turn == turn && self.from == FetchFrom::At(offset)
    }

    /// Begins a new turn, in which all fetched batches are stale.
    pub(super) fn begin_turn(&mut self) {
        self.turn += 1;
        self.last_epoch = None;
    }

    /// Moves to `to`, where the record before it was read in `epoch`.
    pub(super) fn move_to(&mut self, to: FetchFrom, epoch: Option<LeaderEpoch>) {
        self.from = to;
        self.last_epoch = epoch;
    }

    /// Moves behind fetched batches. `epoch` is that of the last one, if the broker stored it.
    pub(super) fn advance(&mut self, next: Offset, epoch: Option<LeaderEpoch>) {
        self.from = FetchFrom::At(next);
        self.last_epoch = epoch.or(self.last_epoch);
    }

    /// Notes that the position `from` does not exist in the log any more.
    pub(super) fn is_reset_from(&mut self, from: Offset) {
        self.reset_from = Some(from);
    }

    /// Notes that the replacement of a position that was out of range is found.
    pub(super) fn reset_is_done(&mut self) {
        self.reset_from = None;
    }

    /// Notes the id of the topic. Returns true if it is another topic than before, though with the
    /// same name.
    pub(super) fn meet_topic(&mut self, id: Option<Uuid>) -> bool {
        let Some(id) = id else { return false };
        let other = self.topic_id.is_some_and(|known| known != id);
        self.topic_id = Some(id);
        if other {
            // Leader epochs of the old topic mean nothing in the new one.
            self.leader_epoch = None;
        }
        other
    }

    /// Notes the leader epoch from metadata. Under a newer leader the position becomes unsure, if
    /// the epoch in which it was read is known. Returns true if it became so.
    pub(super) fn meet_leader(&mut self, epoch: Option<LeaderEpoch>) -> bool {
        let Some(epoch) = epoch else { return false };
        let newer = self.leader_epoch.is_some_and(|known| epoch > known);
        self.leader_epoch = self.leader_epoch.max(Some(epoch));
        match (self.from, self.last_epoch) {
            (FetchFrom::At(offset), Some(last)) if newer => {
                self.from = FetchFrom::Unsure(offset, last);
                true
            }
            _ => false,
        }
    }

    /// Notes that the leader's log holds the records that were read. Returns true if the position
    /// was unsure.
    pub(super) fn validate(&mut self, turn: u64) -> bool {
        match self.from {
            FetchFrom::Unsure(offset, _) if self.turn == turn => {
                self.from = FetchFrom::At(offset);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(raw: i32) -> Option<LeaderEpoch> {
        LeaderEpoch::from_wire(raw)
    }

    #[test]
    fn a_newer_leader_makes_a_position_unsure_until_it_confirms_it() {
        let mut cursor = Cursor::new(FetchFrom::At(5.into()));
        cursor.advance(9.into(), epoch(2));
        assert!(!cursor.meet_leader(epoch(2)), "the first one is not newer");
        assert!(cursor.meet_leader(epoch(3)));
        assert!(!cursor.is_at(0, 9.into()));
        assert!(!cursor.validate(1), "an answer for another turn");
        assert!(cursor.validate(0) && cursor.is_at(0, 9.into()));
    }

    #[test]
    fn a_position_without_a_known_epoch_stays_sure() {
        let mut cursor = Cursor::new(FetchFrom::At(5.into()));
        cursor.meet_leader(epoch(2));
        assert!(!cursor.meet_leader(epoch(3)));
    }

    #[test]
    fn a_topic_that_was_created_again_begins_with_any_leader_epoch() {
        let mut cursor = Cursor::new(FetchFrom::At(5.into()));
        cursor.advance(9.into(), epoch(7));
        cursor.meet_leader(epoch(7));
        assert!(!cursor.meet_topic(Some(Uuid::from_u128(1))));
        assert!(cursor.meet_topic(Some(Uuid::from_u128(2))));
        assert!(!cursor.meet_topic(None));
        assert!(!cursor.meet_leader(epoch(8)), "the first of the new topic");
    }

    #[test]
    fn an_answer_of_an_earlier_turn_is_stale() {
        let mut cursor = Cursor::new(FetchFrom::At(5.into()));
        cursor.begin_turn();
        assert!(!cursor.is_at(0, 5.into()) && cursor.is_at(1, 5.into()));
        assert_eq!(cursor.last_epoch(), None);
    }
}
