//! A lane that keeps the order of a feed and passes several records at a time to handlers that
//! take several.
//!
//! Each record passes through the layers by itself, gets its own answer, and is settled by itself.
//! The records only meet at the handler. A record that failed is tried again before the records
//! behind it, which its handler leaves for later.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use milena_core::{
    BatchParty, BatchSeat, BatchSize, ConsumerRecord, Routes, SharedRecord, Timestamp,
};
use tokio::time::{Instant, sleep_until};

use super::reading::{PlainClock, wait_for_more};
use crate::feed::{Phase, Ticket};
use crate::reports::{routes_of, stop_lane};
use crate::routes::Driven;
use crate::source::{Feed, Next, Reader, Source};
use crate::worker::{AttemptAt, Begun, Go, Verdict, Worker, watched};

/// A delivered record that is not settled yet.
struct Member {
    /// The record.
    record: SharedRecord,
    /// The ticket to settle it with.
    ticket: Ticket,
    /// The number of the next attempt, from 1.
    attempt: u32,
    /// The wait before that attempt.
    before: Before,
}

/// The wait before the next attempt at a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// No wait.
    Nothing,
    /// A backoff.
    Wait(Duration),
    /// A hold until this time, with the feed paused.
    Hold(Timestamp),
}

/// The lane of a feed if a route takes several records at a time.
pub(super) struct BatchingLane<F: Feed, R: Routes> {
    /// The feed that the lane processes.
    feed: F,
    /// Calls the services of the routes.
    worker: Worker<F, R>,
    /// The routes of the handler.
    routes: Arc<R>,
    /// Reads the records that were not delivered yet.
    reader: F::Reader,
    /// Records to try again, in order. They come before all records of `reader`.
    again: VecDeque<Member>,
    /// The most records of the next batch, after a batch failed as a whole. It is 1 at first and
    /// grows with each success, so that the record at fault is found and the others are not blamed.
    /// `None` for no limit.
    careful: Option<usize>,
}

impl<F: Feed, R: Driven> BatchingLane<F, R> {
    pub(super) fn new(feed: F, routes: Arc<R>) -> Self {
        Self {
            worker: Worker::new(feed.clone(), Arc::clone(&routes)),
            routes,
            reader: feed.reader(),
            feed,
            again: VecDeque::new(),
            careful: None,
        }
    }

    /// Processes records until the feed is given back or the lane cannot continue.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.first().await {
            let route = self.worker.route_of(&first.record);
            let go = match self.worker.batch_size(route) {
                Some(size) => self.batch(first, route, size).await,
                // A seek came while the record waited, so the handler must not get it any more.
                None if !self.feed.counts(first.ticket) => Go::On,
                None => {
                    let Member { record, ticket, .. } = first;
                    self.worker.process_shared(&record, ticket, None).await
                }
            };
            if go == Go::Away {
                return;
            }
            self.worker.yield_in_turn().await;
        }
    }

    /// Returns the next record once its wait is over. `None` if the feed is given back.
    async fn first(&mut self) -> Option<Member> {
        if let Some(member) = self.again.pop_front() {
            let go_on = match member.before {
                Before::Nothing => !self.feed.dispatch().is_stopping(),
                Before::Wait(time) => {
                    self.takes(&member, true);
                    self.worker.wait(time).await
                }
                Before::Hold(until) => {
                    self.takes(&member, true);
                    self.worker.hold(until).await
                }
            };
            return go_on.then_some(member);
        }
        loop {
            match self.reader.next(&mut PlainClock) {
                Next::Record(record, ticket, _) => return Some(Member::new(record, ticket)),
                other => {
                    if !wait_for_more(&self.feed, &self.routes, other, &mut PlainClock).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Passes `first` and the records that join it through the route, and waits for all answers.
    async fn batch(&mut self, first: Member, route: usize, size: BatchSize) -> Go {
        let few = self.careful.unwrap_or(size.records);
        let most = few.min(size.records);
        let (began, first_offset) = (Instant::now(), first.ticket.offset);
        let party = BatchParty::new();
        let mut members = Vec::<(Member, BatchSeat)>::new();
        let mut running = FuturesUnordered::new();
        let mut answered = None;
        let mut next = Some(first);
        loop {
            // Takes the records that are ready now.
            let mut closed = false;
            while !closed && members.len() < most {
                let Some(member) = next.take().or_else(|| self.join(route, &mut closed)) else {
                    break;
                };
                if !self.feed.counts(member.ticket) {
                    // A seek came while the record waited, so the handler must not get it any more.
                    continue;
                }
                let (seat, alone) = (party.seat(), members.is_empty());
                let at = AttemptAt {
                    route,
                    attempt: member.attempt,
                };
                self.takes(&member, alone);
                let begun = self.worker.begin(&member.record, at, &seat, alone).await;
                match begun {
                    Begun::Running(calling) => {
                        let index = members.len();
                        running.push(async move { (index, calling.await) });
                        members.push((member, seat));
                    }
                    // The record goes into the next batch. Its service may wait for a record of
                    // this batch.
                    Begun::NotReady => {
                        seat.leave();
                        self.again.push_front(member);
                        closed = true;
                    }
                    Begun::Away => return Go::Away,
                }
            }
            if closed || members.is_empty() || members.len() >= most {
                break;
            }
            // Waits for further records, for at most `size.within` from the start of the batch.
            tokio::select! {
                biased;
                () = self.feed.dispatch().stopped() => break,
                Some(answer) = running.next() => {
                    answered = Some(answer);
                    break;
                }
                () = sleep_until(began + size.within) => break,
                () = self.feed.readable() => {}
            }
        }
        party.close();
        let mut unsettled = Vec::new();
        let (feed, name) = (self.feed.clone(), self.worker.route_name(route));
        let answers = async {
            while let Some((index, answer)) = match answered.take() {
                Some(answer) => Some(answer),
                None => running.next().await,
            } {
                let Some((member, seat)) = members.get(index) else {
                    continue;
                };
                let (record, ticket) = (&member.record, member.ticket);
                let at = AttemptAt {
                    route,
                    attempt: member.attempt,
                };
                match self.worker.ended(record, ticket, at, began, answer) {
                    Some(verdict) => {
                        seat.postpone();
                        unsettled.push((index, verdict));
                    }
                    None => seat.leave(),
                }
            }
        };
        watched(&feed, &name, first_offset, answers).await;
        drop(running);
        self.worker.is_at(Phase::Idle);
        let members = members.into_iter().map(|(member, _)| member).collect();
        self.bring_again(route, size.records, members, unsettled)
    }

    /// Notes that the lane has this record. `first` is true for the first record of a batch.
    fn takes(&self, member: &Member, first: bool) {
        let route = self.worker.route_of(&member.record);
        self.worker.takes(member.ticket.offset, route, first);
    }

    /// Returns the next record if it may go into the current batch. Sets `closed` if the batch must
    /// not grow any more.
    fn join(&mut self, route: usize, closed: &mut bool) -> Option<Member> {
        let member = match self.again.pop_front() {
            Some(member) => member,
            None => match self.reader.next(&mut PlainClock) {
                Next::Record(record, ticket, _) => Member::new(record, ticket),
                Next::Empty => return None,
                Next::Full(_) | Next::Over => {
                    *closed = true;
                    return None;
                }
                Next::Failed(error) => {
                    stop_lane(
                        &self.feed,
                        &routes_of(&self.feed, self.routes.routes()),
                        &error,
                    );
                    *closed = true;
                    return None;
                }
            },
        };
        if member.before != Before::Nothing || self.worker.route_of(&member.record) != route {
            *closed = true;
            self.again.push_front(member);
            return None;
        }
        Some(member)
    }

    /// Puts records that are not settled at the front of the queue, in their order.
    fn bring_again(
        &mut self,
        route: usize,
        most: usize,
        members: Vec<Member>,
        mut unsettled: Vec<(usize, Verdict)>,
    ) -> Go {
        unsettled.sort_by_key(|(at, _)| *at);
        let (all, left) = (members.len(), unsettled.len());
        let now = self.feed.source().rules().now();
        let later = |(_, verdict): &(usize, Verdict)| matches!(verdict, Verdict::Hold(until) if *until <= now);
        let whole = all > 1 && left == all && unsettled.iter().all(later);
        self.careful = match self.careful {
            // All records failed together, and the one at fault is unknown.
            _ if whole => Some(1),
            // Only the first record was done, and the others were left for later.
            _ if all > 1 && left + 1 >= all => Some(2),
            Some(few) if left == all => Some(few),
            Some(few) if few < most => Some(few.saturating_mul(2)),
            _ => None,
        };
        let mut members: Vec<_> = members.into_iter().map(Some).collect();
        let mut back = VecDeque::with_capacity(left);
        for (at, verdict) in unsettled {
            let Some(mut member) = members.get_mut(at).and_then(Option::take) else {
                continue;
            };
            member.before = match verdict {
                Verdict::Again(wait) => {
                    member.attempt += 1;
                    Before::Wait(wait)
                }
                // The record this one waited for has finished, so it can run at once.
                Verdict::Hold(until) if until <= now && (whole || left < all) => Before::Nothing,
                Verdict::Hold(until) => Before::Hold(until),
                last => return self.worker.give_up(route, member.ticket, last),
            };
            back.push_back(member);
        }
        back.append(&mut self.again);
        self.again = back;
        Go::On
    }
}

impl Member {
    fn new(record: ConsumerRecord, ticket: Ticket) -> Self {
        Self {
            record: record.into(),
            ticket,
            attempt: 1,
            before: Before::Nothing,
        }
    }
}
