//! Which leader wrote the records that are being committed: goes into the commit, for the next reader to notice a cut log (KIP-320).

use std::collections::VecDeque;

use milena_core::{LeaderEpoch, Offset};

/// Leader epochs of a partition by the first offset that was read of each.
#[derive(Debug, Default)]
pub(crate) struct EpochTrail(VecDeque<(Offset, LeaderEpoch)>);

impl EpochTrail {
    /// Records from `first` on are of `epoch`.
    pub(crate) fn note(&mut self, first: Offset, epoch: Option<LeaderEpoch>) {
        if let Some(epoch) = epoch
            && self.0.back().is_none_or(|(_, last)| *last != epoch)
        {
            self.0.push_back((first, epoch));
        }
    }

    /// The epoch of the record in front of the committed offset `resume`; forgets older ones, since commits never go back.
    pub(crate) fn before(&mut self, resume: Offset) -> Option<LeaderEpoch> {
        while self.0.get(1).is_some_and(|(first, _)| *first < resume) {
            self.0.pop_front();
        }
        let (first, epoch) = self.0.front()?;
        (*first < resume).then_some(*epoch)
    }

    /// The epoch of the record in front of `offset`, as far as it is remembered.
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
