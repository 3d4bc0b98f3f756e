//! Leader epochs of records. A commit carries the epoch, so that the next reader notices a
//! truncated log (KIP-320).

use std::collections::VecDeque;

use milena_core::{LeaderEpoch, Offset};

/// Leader epochs of a partition, each with the first offset that was read in it. Ascending by
/// offset.
#[derive(Debug, Default)]
pub(crate) struct EpochTrail(VecDeque<(Offset, LeaderEpoch)>);

impl EpochTrail {
    /// Notes that records from `first` on have this epoch. Does nothing for an unknown epoch.
    pub(crate) fn note(&mut self, first: Offset, epoch: Option<LeaderEpoch>) {
        if let Some(epoch) = epoch
            && self.0.back().is_none_or(|(_, last)| *last != epoch)
        {
            self.0.push_back((first, epoch));
        }
    }

    /// Returns the epoch of the record before the committed offset `resume`. Forgets older epochs,
    /// since automatic commits never move back.
    pub(crate) fn before(&mut self, resume: Offset) -> Option<LeaderEpoch> {
        while self.0.get(1).is_some_and(|(first, _)| *first < resume) {
            self.0.pop_front();
        }
        let (first, epoch) = self.0.front()?;
        (*first < resume).then_some(*epoch)
    }

    /// Returns the epoch of the record before `offset`. `None` if it was not read or is forgotten.
    pub(crate) fn of(&self, offset: Offset) -> Option<LeaderEpoch> {
        let mut newest_first = self.0.iter().rev();
        newest_first
            .find(|(first, _)| *first < offset)
            .map(|(_, epoch)| *epoch)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_carries_the_epoch_of_the_record_in_front_of_it() {
        let epoch = |raw| LeaderEpoch::from_wire(raw);
        let mut trail = EpochTrail::default();
        trail.note(5.into(), epoch(1));
        trail.note(7.into(), epoch(1));
        trail.note(9.into(), epoch(2));
        assert_eq!(trail.before(5.into()), None, "nothing was read yet");
        assert_eq!(trail.before(9.into()), epoch(1));
        assert_eq!(trail.before(10.into()), epoch(2));
    }
}
