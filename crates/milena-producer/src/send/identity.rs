//! The producer id and epoch, and the decisions when to ask for one and when to raise the epoch.

use milena_core::{Backoff, Error, ProducerEpoch, ProducerId, Result};
use tokio::time::Instant;

/// The identity of this producer for brokers (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The producer id.
    pub(crate) id: ProducerId,
    /// The producer epoch.
    pub(crate) epoch: ProducerEpoch,
}

impl Identity {
    /// Returns the same producer in its next epoch. `None` if the id has no epoch left.
    ///
    /// No other client knows the id of a producer without a transactional id, so this client may
    /// raise the epoch itself. The first batch of the new epoch fences every batch of the old one
    /// that is still in flight (KIP-360).
    pub(crate) fn bump(self) -> Option<Self> {
        Some(Self {
            epoch: self.epoch.bump()?,
            ..self
        })
    }
}

/// The identity that new batches are stamped with, and the requests for it.
///
/// It decides and sends nothing. All partitions share it, and each takes it over by itself.
#[derive(Debug, Default)]
pub(super) struct IdentityState {
    /// The identity, or the step towards one.
    standing: Standing,
    /// The failed requests since the last success, for the backoff.
    failures: u32,
}

/// The state of the producer's identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// There is none, and none was asked for.
    #[default]
    Missing,
    /// A request for one is in flight.
    Asked,
    /// The last request failed. The next one is sent at this time.
    NotBefore(Instant),
    /// The identity that new batches are stamped with.
    Known(Identity),
}

/// The meaning of an answer to a request for an identity.
#[derive(Debug)]
pub(super) enum Identified {
    /// The producer has an identity.
    Known,
    /// The request is sent again later, for this reason.
    Later(Error),
    /// The producer never gets an identity, and ends.
    Fatal(Error),
}

impl IdentityState {
    /// Returns the identity. `None` while there is none.
    pub(super) fn current(&self) -> Option<Identity> {
        match self.standing {
            Standing::Known(identity) => Some(identity),
            Standing::Missing | Standing::Asked | Standing::NotBefore(_) => None,
        }
    }

    /// Returns true if the caller has to send a request for an identity now. It counts as sent from
    /// then on. Returns false while a request is in flight or must wait.
    pub(super) fn ask(&mut self, now: Instant) -> bool {
        match self.standing {
            Standing::Asked => return false,
            Standing::NotBefore(time) if time > now => return false,
            Standing::Missing | Standing::NotBefore(_) | Standing::Known(_) => {}
        }
        self.standing = Standing::Asked;
        true
    }

    /// Returns the time of the next request, if the last one failed.
    pub(super) fn retries_at(&self) -> Option<Instant> {
        match self.standing {
            Standing::NotBefore(time) => Some(time),
            Standing::Missing | Standing::Asked | Standing::Known(_) => None,
        }
    }

    /// Takes the answer to a request.
    pub(super) fn answered(
        &mut self,
        answer: Result<Identity>,
        now: Instant,
        backoff: &Backoff,
    ) -> Identified {
        match answer {
            Ok(identity) => {
                self.standing = Standing::Known(identity);
                self.failures = 0;
                Identified::Known
            }
            Err(error) if error.is_fatal() => {
                self.standing = Standing::Missing;
                Identified::Fatal(error)
            }
            Err(error) => {
                self.standing = Standing::NotBefore(now + backoff.delay(self.failures));
                self.failures = self.failures.saturating_add(1);
                Identified::Later(error)
            }
        }
    }

    /// Returns an identity other than `own` for a partition. `None` if one has to be requested
    /// first.
    pub(super) fn renew(&mut self, own: Option<Identity>) -> Option<Identity> {
        let current = self.current()?;
        // Another partition may have led to a newer identity, which this one then takes too.
        // Otherwise this one raises the epoch.
        let next = if Some(current) == own {
            current.bump()?
        } else {
            current
        };
        self.standing = Standing::Known(next);
        Some(next)
    }

    /// Drops the identity, since the producer that fenced this one goes on under its id.
    pub(super) fn forget(&mut self) {
        if matches!(self.standing, Standing::Known(_)) {
            self.standing = Standing::Missing;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use milena_core::ErrorKind;

    use super::*;

    fn identity(epoch: i16) -> Identity {
        Identity {
            id: ProducerId::from_wire(7).unwrap(),
            epoch: ProducerEpoch::from_wire(epoch).unwrap(),
        }
    }

    fn known(epoch: i16) -> IdentityState {
        let mut state = IdentityState::default();
        let answer = Ok(identity(epoch));
        let taken = state.answered(answer, Instant::now(), &Backoff::default());
        assert!(matches!(taken, Identified::Known));
        state
    }

    #[test]
    fn an_identity_is_asked_for_once() {
        let (mut state, now) = (IdentityState::default(), Instant::now());
        assert!(state.ask(now));
        assert!(!state.ask(now));
        assert_eq!(state.current(), None);
    }

    #[test]
    fn a_request_that_failed_is_sent_again_after_a_wait_that_grows() {
        let (mut state, now) = (IdentityState::default(), Instant::now());
        let backoff = Backoff::default().jitter(0.0);
        let mut waits = Vec::new();
        for _ in 0..3 {
            let gone = Error::new(ErrorKind::Transport, "gone");
            let taken = state.answered(Err(gone), now, &backoff);
            assert!(matches!(taken, Identified::Later(_)));
            let next = state.retries_at().unwrap();
            assert!(!state.ask(now));
            assert!(state.ask(next));
            assert_eq!(state.retries_at(), None);
            waits.push(next - now);
        }
        assert_eq!(waits, [100, 200, 400].map(Duration::from_millis));
    }

    #[test]
    fn a_fatal_refusal_leaves_no_identity() {
        let mut state = IdentityState::default();
        let now = Instant::now();
        assert!(state.ask(now));
        let fatal = Error::new(ErrorKind::Fenced, "fenced");
        assert!(fatal.is_fatal());
        let taken = state.answered(Err(fatal), now, &Backoff::default());
        assert!(matches!(taken, Identified::Fatal(_)));
        assert_eq!((state.current(), state.retries_at()), (None, None));
    }

    #[test]
    fn the_first_partition_raises_the_epoch_and_the_others_take_it_over() {
        let mut state = known(3);
        assert_eq!(state.renew(None), Some(identity(3)), "it had none");
        assert_eq!(state.renew(Some(identity(3))), Some(identity(4)));
        assert_eq!(state.renew(Some(identity(3))), Some(identity(4)));
        assert_eq!(state.current(), Some(identity(4)));
    }

    #[test]
    fn an_id_without_an_epoch_left_is_replaced() {
        let mut state = known(i16::MAX - 1);
        assert_eq!(state.renew(Some(identity(i16::MAX - 1))), None);
        assert!(state.ask(Instant::now()));
    }

    #[test]
    fn a_fenced_identity_is_forgotten_and_a_request_in_flight_is_not() {
        let mut state = known(0);
        state.forget();
        assert_eq!(state.current(), None);
        assert!(state.ask(Instant::now()));
        state.forget();
        assert!(!state.ask(Instant::now()));
    }
}
