//! Records that a lane hands over together, in their order, for a handler that takes several.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crate::wakers::Wakers;

/// Records of one lane that go through their layers at the same time, each for itself, and meet again at a handler of several.
///
/// A driver makes one, gives each record a [`BatchSeat`] in the order in which they are to be processed, as an extension, and
/// [closes](Self::close) it once no more come. A handler's service waits until all of them are there, or were answered on the way.
#[derive(Clone, Default)]
pub struct BatchParty(Arc<Inner>);

/// A record's place in a [`BatchParty`]; travels among its extensions.
///
/// A record behind one that is to be tried again must not be processed before it: its service answers
/// [`Outcome::Hold`](crate::Outcome::Hold) with a time that is past, and the driver brings it again when the one before is done.
#[derive(Clone)]
pub struct BatchSeat {
    party: BatchParty,
    at: usize,
}

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    wakers: Wakers,
}

#[derive(Default)]
struct State {
    seats: Vec<Progress>,
    closed: bool,
    shared: Option<Arc<dyn Any + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Coming,
    Here,
    /// It comes on its own, after an attempt that it had with the others.
    Alone,
    /// It was answered, and is brought again by the driver.
    Later,
    /// It was answered for good.
    Gone,
}

impl BatchParty {
    /// A party of nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next seat, behind all others.
    #[must_use]
    pub fn seat(&self) -> BatchSeat {
        let mut state = self.lock();
        let at = state.seats.len();
        state.seats.push(Progress::Coming);
        BatchSeat {
            party: self.clone(),
            at,
        }
    }

    /// No more records come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.wakers.wake_all();
    }

    /// Resolves once it is closed and each of its records is there or was answered on the way.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub fn gathered(&self) -> impl Future<Output = ()> + Send + use<> {
        Waiting {
            party: self.clone(),
            id: None,
            done: |state| state.closed && !state.seats.contains(&Progress::Coming),
        }
    }

    /// Resolves once it is closed.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        Waiting {
            party: self.clone(),
            id: None,
            done: |state| state.closed,
        }
    }

    /// The first seat whose record is still on its way; those from there on would be too early.
    #[must_use]
    pub fn first_coming(&self) -> Option<usize> {
        let state = self.lock();
        state
            .seats
            .iter()
            .position(|seat| *seat == Progress::Coming)
    }

    /// What all who have part in it share, made by whoever asks first.
    pub fn shared<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut state = self.lock();
        if let Some(known) = &state.shared
            && let Ok(known) = Arc::clone(known).downcast()
        {
            return known;
        }
        let made = make();
        let any: Arc<dyn Any + Send + Sync> = Arc::<T>::clone(&made);
        state.shared = Some(any);
        made
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way through a change.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BatchSeat {
    /// Where it is in the order, counted from 0.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Those it belongs to.
    #[must_use]
    pub fn party(&self) -> &BatchParty {
        &self.party
    }

    /// The record is there. `false` where it was before: it comes once more, on its own.
    #[must_use]
    pub fn arrive(&self) -> bool {
        let before = self.turn(Progress::Here);
        before == Progress::Coming
    }

    /// The record was answered, whether it had arrived or not.
    pub fn leave(&self) {
        let _ = self.turn(Progress::Gone);
    }

    /// The record was answered, and the driver brings it again: until then nothing behind it may be processed.
    pub fn postpone(&self) {
        let _ = self.turn(Progress::Later);
    }

    /// Whether every record before it was answered for good, so that it may be processed on its own.
    #[must_use]
    pub fn is_next(&self) -> bool {
        let state = self.party.lock();
        let mut before = state.seats.iter().take(self.at);
        before.all(|seat| *seat == Progress::Gone)
    }

    /// Whether its attempt is one with others, so that a failure of that attempt may be theirs.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let state = self.party.lock();
        let own = state.seats.get(self.at);
        state.seats.len() > 1 && own.is_some_and(|own| *own != Progress::Alone)
    }

    fn turn(&self, now: Progress) -> Progress {
        let mut state = self.party.lock();
        let Some(seat) = state.seats.get_mut(self.at) else {
            return Progress::Gone;
        };
        let before = *seat;
        if before != Progress::Gone {
            *seat = match (before, now) {
                (Progress::Here | Progress::Alone, Progress::Here) => Progress::Alone,
                _ => now,
            };
        }
        drop(state);
        self.party.0.wakers.wake_all();
        before
    }
}

struct Waiting {
    party: BatchParty,
    id: Option<u64>,
    done: fn(&State) -> bool,
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { party, id, done } = &mut *self;
        party.0.wakers.register(id, cx);
        if done(&party.lock()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.party.0.wakers.forget(&mut self.id);
    }
}

impl fmt::Debug for BatchParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BatchParty")
            .field(&self.lock().seats)
            .finish()
    }
}

impl fmt::Debug for BatchSeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BatchSeat").field(&self.at).finish()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_party_is_gathered_when_it_is_closed_and_each_is_there_or_gone() {
        let party = BatchParty::new();
        let (first, second) = (party.seat(), party.seat());
        let gathered = tokio::spawn(party.gathered());
        assert!(second.arrive());
        assert!(!second.arrive(), "it comes once more");
        party.close();
        tokio::task::yield_now().await;
        assert!(!gathered.is_finished());
        assert_eq!(party.first_coming(), Some(0));
        first.leave();
        gathered.await.unwrap();
        assert!(party.closed().now_or_never().is_some());
        assert_eq!(party.first_coming(), None);
    }

    #[test]
    fn a_record_that_comes_on_its_own_is_next_once_all_before_it_are_answered_for_good() {
        let party = BatchParty::new();
        let (first, second) = (party.seat(), party.seat());
        assert!(first.arrive() && second.arrive());
        assert!(first.is_shared() && second.is_shared());
        assert!(!second.arrive() && !second.is_shared());
        assert!(first.is_next() && !second.is_next());
        first.postpone();
        assert!(!second.is_next(), "the driver brings the first again");
        first.leave();
        assert!(second.is_next());
    }

    #[test]
    fn all_who_ask_share_what_the_first_made() {
        let party = BatchParty::new();
        let made = party.shared(|| Arc::new(7));
        let seat = party.seat();
        assert!(Arc::ptr_eq(&made, &seat.party().shared(|| Arc::new(8))));
    }
}
