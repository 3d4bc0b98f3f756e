//! Reading of a partition. Batches are pulled from its queue, records are delivered and settled.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{LeaderEpoch, Offset, Timestamp};
use milena_fetch::{Bad, BatchEnd, Closed, Opened, Step, Weight, batch_time};
use milena_lanes::Ticket;
use milena_protocol::batch::BatchHeader;
use tokio::time::Instant;

use super::ahead::{self, Ahead};
use super::{Delivered, Partition, PartitionState};

/// A result of a pull. The reader has it in hand from then on.
#[derive(Debug)]
pub(crate) enum Given {
    /// A batch to read.
    Open(Opened),
    /// A batch to open first. Records below the offset were read before.
    Closed(Closed, Offset),
    /// A place that cannot be read, and the turn it was found in.
    Bad(Bad, u64),
}

/// The answer to the question if a record may be given to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It may.
    Ticket(Ticket),
    /// Not yet. Too many records are settled behind one that is not.
    Full,
    /// No. The partition was sought or revoked, or is being drained.
    Over,
}

impl Partition {
    /// Returns the next batch to read, if one is there. The flag is true if the partition has to be
    /// added to the openers, since batches wait for them.
    ///
    /// One batch is in hand at a time, until it is [`passed`](Self::passed),
    /// [put back](Self::put_back) or given up.
    pub(crate) fn pull(&self) -> (Option<Given>, bool) {
        let mut state = self.state.lock();
        if self.is_stopping() || state.in_hand {
            return (None, false);
        }
        if let Some(opened) = state.front.take() {
            state.take_in_hand(opened.records.header());
            return (Some(Given::Open(opened)), false);
        }
        let given = self.next(&mut state);
        match &given {
            Some(Given::Open(opened)) => state.take_in_hand(opened.records.header()),
            Some(Given::Closed(closed, _)) => state.take_in_hand(closed.batch.header()),
            Some(Given::Bad(..)) => state.in_hand = true,
            None => {}
        }
        // Batches that cost little to open stay in the queue, where they count against the share of
        // the partition. Only compressed ones are taken ahead, and several at once, so that an
        // opener is woken once for all of them.
        let compressed = match &given {
            Some(Given::Closed(closed, _)) => Weight::of(&closed.batch) != Weight::Light,
            Some(Given::Bad(..)) => false,
            Some(Given::Open(_)) | None => true,
        };
        let most = ahead::most(state.largest_batch);
        if compressed && state.ahead.len() <= most / 2 {
            let goes_on =
                |step: Option<&Ahead>| !matches!(step, Some(Ahead::Bad(_) | Ahead::Closed(_)));
            while state.ahead.len() < most && goes_on(state.ahead.back()) && self.step(&mut state) {
            }
        }
        let waiting = |step: &Ahead| matches!(step, Ahead::Waiting(_));
        let tell = !state.openers_told && state.ahead.iter().any(waiting);
        state.openers_told |= tell;
        (given, tell)
    }

    /// The first thing to read.
    fn next(&self, state: &mut PartitionState) -> Option<Given> {
        loop {
            let from = state.tracker.position();
            let turn = state.turn;
            match state.ahead.pop_front() {
                Some(Ahead::Skip(next)) => state.tracker.skip_to(next),
                // No opener has begun it, and to open it here costs less than to wait for one.
                Some(Ahead::Waiting(closed)) if Weight::of(&closed.batch) != Weight::Huge => {
                    return Some(Given::Closed(closed, from));
                }
                Some(Ahead::Closed(closed)) => return Some(Given::Closed(closed, from)),
                Some(Ahead::Open(records, pinned)) => {
                    return Some(Given::Open(Opened {
                        records,
                        from,
                        turn,
                        pinned,
                    }));
                }
                Some(Ahead::Bad(bad)) => return Some(Given::Bad(bad, turn)),
                Some(elsewhere @ (Ahead::Opening(..) | Ahead::Waiting(_))) => {
                    state.ahead.push_front(elsewhere);
                    return None;
                }
                None if self.step(state) => {}
                None => {
                    let told = state.failure.take();
                    return told.map(|error| {
                        Given::Bad(
                            Bad {
                                error,
                                end: BatchEnd::Unknown,
                            },
                            turn,
                        )
                    });
                }
            }
        }
    }

    /// Takes one step of the log ahead. Returns `false` where nothing is there to take.
    fn step(&self, state: &mut PartitionState) -> bool {
        let from = state.tracker.position();
        let turn = state.turn;
        loop {
            let Some(chunk) = state.queue.front_mut() else {
                return false;
            };
            let step = match chunk.step(from) {
                Ok(Step::Batch(batch)) => {
                    let weight = Weight::of(&batch);
                    let following = match batch.is_intact() {
                        true => None,
                        false => chunk.next_base(),
                    };
                    let closed = Closed {
                        batch,
                        turn,
                        pinned: Arc::clone(chunk.pinned()),
                        id: 0,
                        following,
                    };
                    match weight {
                        Weight::Light => Ahead::Closed(closed),
                        Weight::Heavy | Weight::Huge => Ahead::Waiting(closed),
                    }
                }
                Ok(Step::Skip(next)) => Ahead::Skip(next),
                Ok(Step::End) => {
                    let len = chunk.bytes();
                    state.queue.pop_front();
                    state.queued -= len;
                    self.touch();
                    continue;
                }
                Err(error) => Ahead::Bad(Bad {
                    error,
                    end: BatchEnd::Unknown,
                }),
            };
            state.ahead.push_back(step);
            return true;
        }
    }

    /// Returns true if a read would return something at once.
    pub(crate) fn has_something(&self) -> bool {
        self.state.lock().has_something()
    }

    /// Lists the partition for receivers if there is more to read after the batch in hand.
    pub(super) fn tell_of_more(&self, state: &PartitionState) {
        if state.has_something() {
            self.wakes.ready.add(&self.me, &self.ready_mark);
        }
    }

    /// Waits until [`pull`](Self::pull) may give something, or the partition is to be let go.
    pub(crate) async fn readable(&self) {
        if self.has_something() || self.is_stopping() {
            return;
        }
        tokio::select! {
            () = self.readable.notified() => {}
            () = self.dispatch.stopped() => {}
        }
    }

    /// The rest of a batch in hand is to be read next, by whoever comes.
    pub(crate) fn put_back(&self, opened: Opened) {
        let mut state = self.state.lock();
        if state.turn == opened.turn && !self.is_fenced() {
            state.front = Some(opened);
            state.in_hand = false;
            self.tell_readable();
        }
    }

    /// Gives up the batch in hand, which cannot be read, and drops the batches after it. All is
    /// fetched again from the first unread record, after a wait. `delay` returns the wait for the
    /// number of times in a row.
    pub(crate) fn spoiled(&self, turn: u64, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let mut state = self.state.lock();
        if state.turn == turn {
            state.absorb();
            let from = state.tracker.position();
            let place = state.place;
            state.restart_at(from);
            if place.offset().is_none() {
                // Only a seek helps.
                state.place = place;
            }
            state.quiet_until = Some(now + delay(state.spoiled));
            state.spoiled = state.spoiled.saturating_add(1);
            self.tell_of_more(&state);
            self.touch();
        }
    }

    /// How often in a row this place was found unreadable.
    pub(crate) fn times_spoiled(&self) -> u32 {
        self.state.lock().spoiled
    }

    /// Returns the end of a batch that cannot be read, if it can be believed. It must lie within
    /// the log and after the position.
    pub(crate) fn believable(&self, end: BatchEnd) -> Option<Offset> {
        let state = self.state.lock();
        let (BatchEnd::Told(next) | BatchEnd::Following(Some(next))) = end else {
            return None;
        };
        let within = state.high_watermark.is_none_or(|end| next <= end);
        (within && next > state.tracker.position()).then_some(next)
    }

    // Delivering.

    /// A handler is about to get the record.
    pub(crate) fn deliver(
        &self,
        turn: u64,
        offset: Offset,
        epoch: Option<LeaderEpoch>,
        timestamp: Option<Timestamp>,
        since: Instant,
        window: usize,
    ) -> Delivery {
        let mut state = self.state.lock();
        if state.turn != turn || self.is_stopping() {
            return Delivery::Over;
        }
        if state.tracker.window() >= window {
            state.room_below = Some(window - window / 4);
            return Delivery::Full;
        }
        state.epochs.note(offset, epoch);
        state.moved = since;
        state.oldest.push_back(Delivered {
            offset,
            since,
            timestamp,
        });
        Delivery::Ticket(state.tracker.deliver(offset))
    }

    /// Settles a record. Returns `false` if the settlement comes too late to count.
    pub(crate) fn settle(&self, ticket: Ticket) -> bool {
        let mut state = self.state.lock();
        if self.is_fenced() || !state.tracker.settle(ticket) {
            return false;
        }
        if state.starved && state.tracker.unsettled() <= 1 {
            state.starved = false;
            self.touch();
        }
        let low = state.tracker.committable();
        while state.oldest.front().is_some_and(|first| first.offset < low) {
            state.oldest.pop_front();
        }
        if state
            .room_below
            .is_some_and(|below| state.tracker.window() < below)
        {
            state.room_below = None;
            drop(state);
            self.room.notify_one();
        }
        true
    }

    /// Waits until the window has room again, or no record is dispatched any more.
    pub(crate) async fn has_room(&self) {
        loop {
            if self.state.lock().room_below.is_none() || self.is_stopping() {
                return;
            }
            tokio::select! {
                () = self.room.notified() => {}
                () = self.dispatch.stopped() => {}
            }
        }
    }

    /// Moves the position to `next`, the end of the batch in hand, and lets go of the batch. All of
    /// its records were delivered or are in the user's hands.
    pub(crate) fn passed(&self, turn: u64, next: Offset, epoch: Option<LeaderEpoch>) -> bool {
        let passed = self.note_read(turn, next, epoch);
        if passed {
            let mut state = self.state.lock();
            state.in_hand = false;
            state.spoiled = 0;
            self.tell_of_more(&state);
        }
        passed
    }

    /// The records below `next`, of the batch in hand, were given out.
    pub(crate) fn hand_out(&self, next: Offset) {
        self.handed.store(next.to_wire(), Ordering::Release);
    }

    /// All records below `next` were delivered, of a batch that stays in hand.
    pub(crate) fn note_read(&self, turn: u64, next: Offset, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || self.is_fenced() {
            return false;
        }
        let from = state.tracker.position();
        state.epochs.note(from, epoch);
        state.tracker.skip_to(next);
        true
    }

    /// Returns true if a delivery still counts, for a record that has waited since.
    pub(crate) fn counts(&self, ticket: Ticket) -> bool {
        self.epoch.load(Ordering::Acquire) == ticket.epoch
    }

    /// Returns true if a record of that turn may still be delivered.
    pub(crate) fn is_current(&self, turn: u64) -> bool {
        !self.is_stopping() && self.turn.load(Ordering::Acquire) == turn
    }
}

impl PartitionState {
    /// Returns true if a read would return something at once.
    pub(super) fn has_something(&self) -> bool {
        if self.in_hand {
            return false;
        }
        match self.ahead.front() {
            Some(Ahead::Opening(..)) => false,
            Some(_) => true,
            None => self.front.is_some() || !self.queue.is_empty() || self.failure.is_some(),
        }
    }

    fn take_in_hand(&mut self, header: &BatchHeader) {
        self.in_hand = true;
        self.moved = Instant::now();
        self.handed.store(0, Ordering::Release);
        self.hand = Some((header.next_offset(), batch_time(header)));
    }
}
