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

    fn turn(&self, now: Progress) -> Progress {
        let mut state = self.party.lock();
        let Some(seat) = state.seats.get_mut(self.at) else {
            return Progress::Gone;
        };
        let before = *seat;
        if before != Progress::Gone {
            *seat = now;
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
    fn all_who_ask_share_what_the_first_made() {
        let party = BatchParty::new();
        let made = party.shared(|| Arc::new(7));
        let seat = party.seat();
        assert!(Arc::ptr_eq(&made, &seat.party().shared(|| Arc::new(8))));
    }
}
