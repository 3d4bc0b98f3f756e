//! Fetched batches of a partition that are not read yet, in the order of the log.

use std::collections::VecDeque;
use std::sync::Arc;

use milena_core::{Error, Offset, Timestamp};
use milena_fetch::{
    Bad, BatchEnd, Budget, Chunk, Closed, Opened, Pinned, Step, Weight, batch_time,
};
use milena_protocol::batch::{BatchHeader, Records};

use super::ahead::{self, Ahead};

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

/// The outcome of a pull.
#[derive(Debug)]
pub(super) struct Pulled {
    /// The next thing to read. `None` if nothing is there.
    pub(super) given: Option<Given>,
    /// The offset below which nothing is left for the user. Never below the position.
    pub(super) reached: Offset,
    /// True if a chunk was used up, so that the partition may be fetched again.
    pub(super) freed: bool,
    /// True if the partition has to be added to the openers, since batches wait for them.
    pub(super) for_openers: bool,
}

/// Batches on their way from the fetcher to the reader.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Fetched chunks that are not read to their end, oldest first.
    queue: VecDeque<Chunk>,
    /// The bytes in `queue`. Each chunk counts until it is read to its end.
    queued: usize,
    /// A batch that a reader put back. It is read next. `None` if there is none.
    front: Option<Opened>,
    /// Batches taken out of `queue`, in order, while they are unpacked. They are read before
    /// `queue`.
    ahead: VecDeque<Ahead>,
    /// The number of batches that openers have ever taken. It numbers them.
    taken: u64,
    /// True while the openers have this partition on their list, from when a batch waits for one
    /// until an opener finds none.
    openers_told: bool,
    /// True while a reader has a batch in hand. The next batch is not given out before that one is
    /// passed or put back.
    in_hand: bool,
    /// The batch that was last in hand, as the offset behind it and its first timestamp. `None`
    /// once fetched batches became stale.
    hand: Option<(Offset, Option<Timestamp>)>,
    /// The size in bytes of the largest batch in recent answers. At most halved per answer, raised
    /// while answers are too small for one batch, and 0 before the first answer.
    largest_batch: usize,
}

impl Inbox {
    /// Drops all fetched batches, since they are stale. The batch in hand is stale too.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.queued = 0;
        self.front = None;
        self.ahead.clear();
        self.in_hand = false;
        self.hand = None;
    }

    /// Adds fetched batches behind the others.
    pub(super) fn push(&mut self, chunk: Chunk) {
        self.queued += chunk.bytes();
        self.queue.push_back(chunk);
    }

    /// Returns the bytes that wait to be read.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Returns true if no chunk waits to be read.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns true while a reader has a batch in hand.
    pub(super) fn is_in_hand(&self) -> bool {
        self.in_hand
    }

    /// Returns the size in bytes of the largest batch in recent answers.
    pub(super) fn largest_batch(&self) -> usize {
        self.largest_batch
    }

    /// Notes the size of the largest batch in an answer. 0 says nothing.
    pub(super) fn note_largest(&mut self, largest: usize) {
        if largest > 0 {
            self.largest_batch = largest.max(self.largest_batch / 2);
        }
    }

    /// Raises the size of the largest batch to at least `bytes`.
    pub(super) fn expect(&mut self, bytes: usize) {
        self.largest_batch = self.largest_batch.max(bytes);
    }

    /// Returns true if fetched batches are not read yet or are being read.
    pub(super) fn has_unread(&self) -> bool {
        self.in_hand || self.front.is_some() || !self.ahead.is_empty() || !self.queue.is_empty()
    }

    /// Returns true if a read would return something at once. `failed` is true if an error waits
    /// for the reader.
    pub(super) fn has_something(&self, failed: bool) -> bool {
        if self.in_hand {
            return false;
        }
        match self.ahead.front() {
            Some(Ahead::Opening(..)) => false,
            Some(_) => true,
            None => self.front.is_some() || !self.queue.is_empty() || failed,
        }
    }

    /// Takes the next batch to read, if one is there. `from` is the position, and `failure` an
    /// error for the reader, which comes after all batches.
    pub(super) fn pull(&mut self, turn: u64, from: Offset, failure: &mut Option<Error>) -> Pulled {
        let mut pulled = Pulled {
            given: None,
            reached: from,
            freed: false,
            for_openers: false,
        };
        if let Some(opened) = self.front.take() {
            self.take_in_hand(opened.records.header());
            pulled.given = Some(Given::Open(opened));
            return pulled;
        }
        let given = self.next(turn, &mut pulled, failure);
        match &given {
            Some(Given::Open(opened)) => self.take_in_hand(opened.records.header()),
            Some(Given::Closed(closed, _)) => self.take_in_hand(closed.batch.header()),
            Some(Given::Bad(..)) => self.in_hand = true,
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
        let most = ahead::most(self.largest_batch);
        if compressed && self.ahead.len() <= most / 2 {
            let goes_on =
                |step: Option<&Ahead>| !matches!(step, Some(Ahead::Bad(_) | Ahead::Closed(_)));
            while self.ahead.len() < most
                && goes_on(self.ahead.back())
                && self.step(turn, &mut pulled)
            {}
        }
        let waiting = |step: &Ahead| matches!(step, Ahead::Waiting(_));
        pulled.for_openers = !self.openers_told && self.ahead.iter().any(waiting);
        self.openers_told |= pulled.for_openers;
        pulled.given = given;
        pulled
    }

    /// Returns the first thing to read.
    fn next(
        &mut self,
        turn: u64,
        pulled: &mut Pulled,
        failure: &mut Option<Error>,
    ) -> Option<Given> {
        loop {
            let from = pulled.reached;
            match self.ahead.pop_front() {
                Some(Ahead::Skip(next)) => pulled.reached = from.max(next),
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
                    self.ahead.push_front(elsewhere);
                    return None;
                }
                None if self.step(turn, pulled) => {}
                None => {
                    let end = BatchEnd::Unknown;
                    let error = failure.take()?;
                    return Some(Given::Bad(Bad { error, end }, turn));
                }
            }
        }
    }

    /// Takes one step of the log ahead. Returns false if nothing is there to take.
    fn step(&mut self, turn: u64, pulled: &mut Pulled) -> bool {
        loop {
            let Some(chunk) = self.queue.front_mut() else {
                return false;
            };
            let step = match chunk.step(pulled.reached) {
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
                    self.queued -= chunk.bytes();
                    self.queue.pop_front();
                    pulled.freed = true;
                    continue;
                }
                Err(error) => Ahead::Bad(Bad {
                    error,
                    end: BatchEnd::Unknown,
                }),
            };
            self.ahead.push_back(step);
            return true;
        }
    }

    fn take_in_hand(&mut self, header: &BatchHeader) {
        self.in_hand = true;
        self.hand = Some((header.next_offset(), batch_time(header)));
    }

    /// Takes back the rest of the batch in hand. It is read next.
    pub(super) fn put_back(&mut self, opened: Opened) {
        self.front = Some(opened);
        self.in_hand = false;
    }

    /// Notes that the batch in hand is read to its end.
    pub(super) fn let_go(&mut self) {
        self.in_hand = false;
    }

    /// Takes the next batch that waits for an opener. `None` if none does. The partition then has
    /// to be added to the openers again once a batch waits.
    pub(super) fn take_waiting(&mut self) -> Option<Closed> {
        for step in &mut self.ahead {
            if let Ahead::Waiting(closed) = step {
                self.taken += 1;
                let id = self.taken;
                let closed = Closed {
                    id,
                    ..closed.clone()
                };
                *step = Ahead::Opening(id, *closed.batch.header());
                return Some(closed);
            }
        }
        self.openers_told = false;
        None
    }

    /// Stores the result of an opener for the batch that it took under `id`.
    pub(super) fn opened(&mut self, id: u64, opened: Result<(Records, Arc<Pinned>), Bad>) {
        let opening = |step: &&mut Ahead| matches!(step, Ahead::Opening(known, _) if *known == id);
        if let Some(step) = self.ahead.iter_mut().find(opening) {
            *step = match opened {
                Ok((records, pinned)) => Ahead::Open(records, pinned),
                Err(bad) => Ahead::Bad(bad),
            };
        }
    }

    /// Returns the first timestamp of the batch that holds `first`, or of the next one after it.
    /// `None` if it is not known.
    pub(super) fn time_of(&self, first: Offset) -> Option<Timestamp> {
        if let Some((_, timestamp)) = self.hand.filter(|(next, _)| first < *next) {
            return timestamp;
        }
        if let Some(front) = &self.front {
            return batch_time(front.records.header());
        }
        let ahead = self.ahead.iter().find_map(Ahead::header);
        ahead.map_or_else(
            || self.queue.iter().find_map(|chunk| chunk.first_time(first)),
            |header| batch_time(&header),
        )
    }

    /// Copies waiting batches out of frames that nothing else holds.
    pub(super) fn copy_out(&mut self, budget: &Arc<Budget>) {
        for chunk in &mut self.queue {
            chunk.copy_out(budget);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use milena_core::{Compression, ErrorKind, HeadersRef, IsolationLevel};
    use milena_protocol::batch::{BatchBuilder, Batches, rewrite};

    use super::*;

    /// Returns an inbox with one chunk of two batches, of the offsets 0 to 1 and 2 to 3.
    fn two_batches() -> Inbox {
        let mut bytes = Vec::new();
        for first in [0_i64, 2] {
            let mut open = BatchBuilder::with_capacity(64);
            for _ in 0..2 {
                let time = Timestamp::from_millis(first + 1);
                open.append(time, None, Some(b"value"), HeadersRef::empty())
                    .unwrap();
            }
            let (sealed, _) = open.seal(Compression::None).unwrap();
            let mut batch = sealed.to_bytes(None).to_vec();
            rewrite::assign(&mut batch, Offset::from_wire(first).unwrap(), None).unwrap();
            bytes.extend(batch);
        }
        let bytes = Bytes::from(bytes);
        let pinned = Budget::new(1 << 20, Arc::default()).pin(bytes.len());
        let level = IsolationLevel::ReadCommitted;
        let mut inbox = Inbox::default();
        inbox.push(Chunk::new(Batches::new(bytes), vec![], level, pinned));
        inbox
    }

    /// Pulls at `from`. Returns the base offset of the batch, and if the chunk was used up.
    fn pull(inbox: &mut Inbox, from: u32) -> (Option<Offset>, bool) {
        let pulled = inbox.pull(7, from.into(), &mut None);
        match pulled.given {
            Some(Given::Closed(closed, _)) => (Some(closed.batch.base_offset()), pulled.freed),
            _ => (None, pulled.freed),
        }
    }

    #[test]
    fn one_batch_is_in_hand_at_a_time_and_a_chunk_counts_until_it_is_read_to_its_end() {
        let mut inbox = two_batches();
        assert!(inbox.has_something(false) && inbox.queued() > 0);
        assert_eq!(pull(&mut inbox, 0), (Some(0.into()), false));
        assert!(inbox.is_in_hand() && !inbox.has_something(false));
        inbox.let_go();
        assert_eq!(pull(&mut inbox, 2), (Some(2.into()), false));
        inbox.let_go();
        assert_eq!(pull(&mut inbox, 4), (None, true));
        assert!(inbox.queued() == 0 && !inbox.has_unread());
    }

    #[test]
    fn the_age_of_a_record_is_that_of_its_batch_in_hand_or_in_the_queue() {
        let mut inbox = two_batches();
        assert_eq!(inbox.time_of(2.into()), Timestamp::from_wire(3));
        pull(&mut inbox, 0);
        assert_eq!(inbox.time_of(0.into()), Timestamp::from_wire(1));
        inbox.clear();
        assert_eq!(inbox.time_of(0.into()), None);
    }

    #[test]
    fn an_error_for_the_reader_comes_after_all_batches() {
        let mut inbox = two_batches();
        let mut failure = Some(Error::new(ErrorKind::State, "seek"));
        for from in [0, 2] {
            let given = inbox.pull(7, Offset::from(from as u32), &mut failure).given;
            assert!(matches!(given, Some(Given::Closed(..))));
            inbox.let_go();
        }
        let given = inbox.pull(7, 4.into(), &mut failure).given;
        assert!(matches!(given, Some(Given::Bad(_, 7))) && failure.is_none());
    }

    #[test]
    fn the_size_of_the_largest_batch_falls_by_half_per_answer_at_most() {
        let mut inbox = Inbox::default();
        inbox.note_largest(100);
        inbox.note_largest(10);
        assert_eq!(inbox.largest_batch(), 50);
        inbox.note_largest(0);
        inbox.expect(80);
        assert_eq!(inbox.largest_batch(), 80);
    }
}
