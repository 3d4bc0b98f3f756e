//! Records that one lane hands to a handler of several records together, in their order.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crate::wakers::Wakers;

/// Records of one lane that pass through their layers at the same time and meet at a handler of
/// several records.
///
/// A driver creates the party. It gives each record a [`BatchSeat`] as an extension, in the order
/// in which the records must be processed, and calls [`close`](Self::close) after the last one. The
/// handler's service waits until every record has arrived, or was answered by a layer.
#[derive(Clone, Default)]
pub struct BatchParty(Arc<SharedParty>);

/// The place of a record in a [`BatchParty`]. It travels in the record's extensions.
///
/// A record must not be processed before an earlier record that will be retried. Its service then
/// answers [`Outcome::Hold`](crate::Outcome::Hold) with a time in the past, and the driver delivers
/// the record again once the earlier one is done.
#[derive(Clone)]
pub struct BatchSeat {
    /// The party that the seat belongs to.
    party: BatchParty,
    /// Index of the seat in [`PartyState::seats`], counted from 0.
    at: usize,
}

#[derive(Default)]
struct SharedParty {
    /// The seats. Locked only for the length of a read or one change, never across an await.
    state: Mutex<PartyState>,
    /// Wakers of the futures that wait for a seat to change or for the party to close.
    wakers: Wakers,
}

#[derive(Default)]
struct PartyState {
    /// Progress of each record, in processing order. Seats are never removed.
    seats: Vec<Progress>,
    /// True once no more records come. Set by [`BatchParty::close`].
    closed: bool,
    /// The value that the services of the records share. `None` until the first one asks for it.
    shared: Option<Arc<dyn Any + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The record is on its way through its layers.
    Coming,
    /// The record has arrived at the handler's service.
    Here,
    /// The record arrived a second time, after an attempt together with the others. It is processed
    /// alone.
    Alone,
    /// The record was answered for now. The driver delivers it again.
    Later,
    /// The record was answered for good.
    Gone,
}

impl BatchParty {
    /// Creates a party without seats.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a seat after all others.
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

    /// Closes the party. No more records come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.wakers.wake_all();
    }

    /// Waits until the party is closed and every record has arrived or was answered by a layer.
    ///
    /// # Cancel safety
    /// The future may be dropped and requested again.
    pub fn gathered(&self) -> impl Future<Output = ()> + Send + use<> {
        Waiting {
            party: self.clone(),
            id: None,
            done: |state| state.closed && !state.seats.contains(&Progress::Coming),
        }
    }

    /// Waits until the party is closed.
    ///
    /// # Cancel safety
    /// The future may be dropped and requested again.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        Waiting {
            party: self.clone(),
            id: None,
            done: |state| state.closed,
        }
    }

    /// Returns the first seat whose record has not arrived yet. Records from this seat on must
    /// wait.
    #[must_use]
    pub fn first_coming(&self) -> Option<usize> {
        let state = self.lock();
        state
            .seats
            .iter()
            .position(|seat| *seat == Progress::Coming)
    }

    /// Returns the value that all services of the party share. The first call creates it with
    /// `make`.
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

    fn lock(&self) -> MutexGuard<'_, PartyState> {
        // No code panics in the middle of a change while it holds the lock, so the state is valid.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BatchSeat {
    /// Returns the position in the processing order, counted from 0.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Returns the party that the seat belongs to.
    #[must_use]
    pub fn party(&self) -> &BatchParty {
        &self.party
    }

    /// Marks the record as arrived. Returns false if it had arrived before, and is now to be
    /// processed alone.
    #[must_use]
    pub fn arrive(&self) -> bool {
        let before = self.turn(Progress::Here);
        before == Progress::Coming
    }

    /// Marks the record as answered for good, whether it had arrived or not.
    pub fn leave(&self) {
        let _ = self.turn(Progress::Gone);
    }

    /// Marks the record as answered for now. No later record may be processed until the driver has
    /// delivered it again.
    pub fn postpone(&self) {
        let _ = self.turn(Progress::Later);
    }

    /// Returns true if every earlier record was answered for good, so that this one may be
    /// processed alone.
    #[must_use]
    pub fn is_next(&self) -> bool {
        let state = self.party.lock();
        let mut before = state.seats.iter().take(self.at);
        before.all(|seat| *seat == Progress::Gone)
    }

    /// Returns true if this record is processed in one attempt with others. A failure of that
    /// attempt may then be the fault of another record.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let state = self.party.lock();
        let own = state.seats.get(self.at);
        state.seats.len() > 1 && own.is_some_and(|own| *own != Progress::Alone)
    }

    /// Moves the seat to `now` and returns its state before. A record that was answered for good
    /// stays so.
    fn turn(&self, now: Progress) -> Progress {
        let mut state = self.party.lock();
        let Some(seat) = state.seats.get_mut(self.at) else {
            return Progress::Gone;
        };
        let before = *seat;
        if before != Progress::Gone {
            *seat = match (before, now) {
                // The second arrival follows an attempt that the record had with the others.
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
    /// The party that is waited for.
    party: BatchParty,
    /// Registration in [`SharedParty::wakers`]. `None` before the first poll.
    id: Option<u64>,
    /// The condition that ends the wait.
    done: fn(&PartyState) -> bool,
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
