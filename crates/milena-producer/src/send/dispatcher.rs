//! Sending. Batches that may leave are gathered into one request per connection, and answers are
//! carried back to their batches.

use std::sync::Arc;

use milena_core::{Acks, NodeId, Persistence, Result};
use tokio::time::Instant;

use crate::network::{LinkId, Network, Wire};
use crate::send::batches::Batches;
use crate::send::identity::{Identified, Identity, IdentityState};
use crate::send::links::Links;
use crate::send::outcome::{self, Effect};
use crate::send::pace::Load;
use crate::send::queue::id::QueueId;
use crate::send::ready::Ready;
use crate::send::request::{Answer, Request, RequestBuilder};
use crate::send::wake::Wake;
use crate::send::work::{Done, Work};
use crate::settings::Settings;

/// The side of the send task that faces brokers.
pub(super) struct Dispatcher {
    /// The checked settings.
    settings: Arc<Settings>,
    /// The cluster that records are sent to.
    network: Arc<dyn Network>,
    /// The connections, and what is in flight on each.
    links: Links,
    /// The producer id and epoch that new batches are stamped with.
    identity: IdentityState,
}

/// The things that one round of sending works with.
pub(super) struct Round<'a> {
    /// The batches to send.
    pub(super) batches: &'a mut Batches,
    /// The calls that the task waits for.
    pub(super) work: &'a Work,
    /// The time at which the next round comes at the latest.
    pub(super) wake: &'a mut Wake,
    /// The time of this round.
    pub(super) now: Instant,
}

/// The next step after a partition's turn.
enum Turn {
    /// The partition may have more to send, and stays in turn.
    Keep,
    /// The request is full. The partition comes first in the next one.
    Full,
    /// The partition leaves the turn. Whatever it waits for lists it again.
    Leave,
    /// The partition moved to another connection, and is listed there.
    Moved,
}

impl Dispatcher {
    pub(super) fn new(settings: Arc<Settings>, network: Arc<dyn Network>) -> Self {
        Self {
            links: Links::new(network.clone(), settings.clone()),
            settings,
            network,
            identity: IdentityState::default(),
        }
    }

    /// Sends everything that may leave now.
    pub(super) fn send_all(&mut self, mut round: Round<'_>) {
        for on in round.batches.outlets().busy() {
            self.send_on(on, &mut round);
            let outlets = round.batches.outlets_mut();
            self.links.relieve(on, outlets, round.now, round.work);
        }
        if let Some(time) = self.identity.retries_at() {
            round.wake.at(time);
            if time <= round.now {
                self.ask_identity(&round);
            }
        }
    }

    /// Sends the batches whose turn it is on a connection, as far as its limits allow.
    fn send_on(&mut self, on: LinkId, round: &mut Round<'_>) {
        let Some(wire) = self.links.wire(on, round.now, round.work, round.wake) else {
            return;
        };
        let mut turn = round.batches.outlets_mut().take_turn(on);
        while let Some(most) = self.links.room(on) {
            let load = self.links.load(on, &*wire);
            let mut request = RequestBuilder::new(on, most);
            for _ in 0..turn.len() {
                let Some(id) = turn.pop_front() else { break };
                match self.serve(id, &load, &mut request, round) {
                    Turn::Keep => turn.push_back(id),
                    Turn::Full => {
                        turn.push_front(id);
                        break;
                    }
                    Turn::Moved => {}
                    Turn::Leave => round.batches.outlets_mut().unlist(id),
                }
            }
            if request.is_empty() {
                break;
            }
            self.dispatch(&wire, request, round);
        }
        round.batches.outlets_mut().give_turn(on, turn);
    }

    /// Serves one partition whose turn it is. Adds its next batch to the request, if one may leave.
    fn serve(
        &mut self,
        id: QueueId,
        load: &Load,
        request: &mut RequestBuilder,
        round: &mut Round<'_>,
    ) -> Turn {
        let identity = &mut self.identity;
        match round.batches.next(id, (round.now, load), identity, request) {
            Ready::Loaded => Turn::Keep,
            Ready::Full => Turn::Full,
            Ready::At(time) => {
                round.wake.at(time);
                Turn::Keep
            }
            Ready::Lingers(time) => {
                round.wake.at(time);
                round.batches.outlets_mut().linger(id, time);
                Turn::Leave
            }
            Ready::NeedsIdentity => {
                self.ask_identity(round);
                Turn::Leave
            }
            Ready::Moved => {
                let outlets = round.batches.outlets_mut();
                outlets.unlist(id);
                outlets.list(id);
                // The other connection may have been served already in this round, so another round
                // follows at once.
                round.wake.at(round.now);
                Turn::Moved
            }
            Ready::Failed(..) | Ready::Idle => Turn::Leave,
        }
    }

    /// Requests a producer id, unless a request is in flight or must wait.
    fn ask_identity(&mut self, round: &Round<'_>) {
        if self.identity.ask(round.now) {
            let asked = self.network.producer_id();
            round.work.push(async move { Done::Identity(asked.await) });
        }
    }

    /// Encodes a request and hands it to the connection.
    fn dispatch(&mut self, wire: &Arc<dyn Wire>, request: RequestBuilder, round: &mut Round<'_>) {
        let link = request.link();
        let Request {
            sent,
            figures,
            body,
        } = request.finish(&**wire, &self.settings, &*self.network);
        if figures.full {
            let spread = round.batches.outlets_mut().spread();
            spread.busy(link.node, round.now);
        }
        let share = self.links.sent(link, &figures, round.now);
        let (version, body) = match body {
            Ok(encoded) => encoded,
            Err(error) => {
                let answer = Answer {
                    link,
                    version: 0,
                    full: figures.full,
                    share,
                    sent,
                    result: Err(error.with_persistence(Persistence::NotWritten)),
                };
                return self.answered(answer, round.batches, round.now);
            }
        };
        let is_answered = self.settings.acks != Acks::None;
        let answer = wire.send(version, body, self.settings.request_timeout, is_answered);
        round.work.push(async move {
            Done::Answer(Answer {
                link,
                version,
                full: figures.full,
                share,
                sent,
                result: answer.await,
            })
        });
    }

    /// Handles the answer to a request, or the failure to get one.
    pub(super) fn answered(&mut self, answer: Answer, batches: &mut Batches, now: Instant) {
        self.links.answered(&answer, now);
        let outlets = batches.outlets();
        let partition = |id| &*outlets.peek(id).partition.place;
        let effects = outcome::of(&answer, self.settings.acks, partition);
        for effect in effects {
            self.apply(effect, answer.link.node, batches, now);
        }
        for sent in answer.sent {
            batches.outlets_mut().list(sent.queue);
        }
    }

    /// Carries out one effect of an answer of `node`.
    fn apply(&mut self, effect: Effect, node: NodeId, batches: &mut Batches, now: Instant) {
        match effect {
            Effect::Throttle(wait) => self.links.throttle(node, wait),
            Effect::Learn(hints, endpoints) => self.network.learn(hints, &endpoints),
            Effect::Refresh(reason) => self.network.refresh(reason),
            Effect::TakeBack(sent) => batches.take_back(sent, now),
            Effect::ForgetIdentity => self.identity.forget(),
            Effect::Settle(sent, attempt) => batches.settle(sent, attempt, now),
            Effect::FindLeader(id) => {
                let queue = batches.outlets_mut().get(id);
                let place = &queue.partition.place;
                let leader = self.network.leader(place);
                if leader.is_some_and(|known| known != node) {
                    // Another leader is known already, so there is nothing to wait for. A hint
                    // alone would not justify this. A broker with old metadata may name the one
                    // that has just refused the batch, and both would be asked in turn without a
                    // pause.
                    queue.hurry();
                } else {
                    let reason = "a broker no longer leads a partition";
                    self.network.refresh_topic(&place.topic, reason);
                }
            }
        }
    }

    /// Handles a new connection, or the failure to open one.
    pub(super) fn dialed(
        &mut self,
        on: LinkId,
        result: Result<Arc<dyn Wire>>,
        batches: &mut Batches,
        now: Instant,
    ) {
        let Some(error) = self.links.dialed(on, result, now) else {
            return;
        };
        let outlets = batches.outlets_mut();
        if on.number > 0 {
            outlets.spread().refused(on.node, now);
            outlets.gather_back(on);
            tracing::debug!(node = %on.node, %error, "a broker refused a further connection");
            return;
        }
        outlets.for_turn(on, |queue| queue.blame(&error));
        batches.trouble(now);
        self.network.refresh("a broker cannot be reached");
    }

    /// Handles a producer id, or the reason why there is none.
    pub(super) fn identified(
        &mut self,
        result: Result<Identity>,
        batches: &mut Batches,
        now: Instant,
    ) {
        let backoff = &self.settings.rules.backoff;
        match self.identity.answered(result, now, backoff) {
            Identified::Known => batches.outlets_mut().list_all(),
            Identified::Later(error) => batches.blame_all(&error, now),
            Identified::Fatal(error) => drop(batches.end(&error)),
        }
    }
}
