//! Sending. Batches that may leave are gathered into one request per connection, and get their
//! sequence, header and checksum.

use std::cmp::Reverse;
use std::sync::Arc;

use milena_core::{Acks, Persistence};
use milena_protocol::produce::{self, PartitionBatch, ProduceOptions};
use tokio::time::Instant;

use crate::network::{LinkId, Wire};
use crate::send::due::Wake;
use crate::send::link;
use crate::send::pace::{self, Load, When};
use crate::send::queue::{Next, Queue};
use crate::send::task::{Answer, Done, Sender, Sent, Standing};
use crate::send::window::Share;

/// A request that is being built.
#[derive(Default)]
struct Parcel {
    /// The most bytes of batches. The first batch may be larger.
    most: usize,
    /// The batches as they are encoded.
    batches: Vec<PartitionBatch>,
    /// The same batches as the sender finds them when the answer comes.
    sent: Vec<Sent>,
    /// The bytes of the batches so far.
    bytes: usize,
    /// The records of the batches so far.
    records: u64,
    /// The batches among them that were not full when they left.
    partial: usize,
}

impl Sender {
    /// Sends everything that may leave now. Returns when to look again if nothing happens before.
    pub(crate) fn pump(&mut self, now: Instant) -> Option<Instant> {
        let mut wake = Wake(self.close_deadline());
        if let Some(time) = self.shared.tick.turn(&mut self.tick, now) {
            wake.at(time);
        }
        self.expire(now, &mut wake);
        self.wake_lingering(now, &mut wake);
        self.seek_leaders(now, &mut wake);
        let busy = self.links.values().filter(|link| !link.turn.is_empty());
        let busy: Vec<_> = busy.map(|link| link.id).collect();
        for id in busy {
            self.pump_link(id, now, &mut wake);
            self.ease(id, now);
        }
        if let Standing::Not(time) = self.identity {
            wake.at(time);
            if time <= now {
                self.ask_identity();
            }
        }
        if let Some(time) = self.write_notices(now) {
            wake.at(time);
        }
        wake.0
    }

    /// Sends the batches whose turn it is on a connection, as far as its limits allow.
    fn pump_link(&mut self, on: LinkId, now: Instant, wake: &mut Wake) {
        let Some(link) = self.links.get_mut(&on) else {
            return;
        };
        let wire = match link.standing(now) {
            link::LinkStanding::Up(wire) => wire,
            link::LinkStanding::Not(time) => return wake.at(time),
            link::LinkStanding::Later => return,
            link::LinkStanding::Dial => return self.dial(on),
        };
        let mut turn = std::mem::take(&mut link.turn);
        while let Some(link) = self.links.get(&on)
            && link.in_flight < self.settings.max_in_flight
            && self.windows.of(on.node).is_open()
        {
            let load = link.load(&*wire);
            let room = self.windows.of(on.node).room();
            let mut parcel = Parcel {
                most: self.settings.max_request_size.min(room),
                ..Parcel::default()
            };
            for _ in 0..turn.len() {
                let Some(id) = turn.pop_front() else { break };
                match self.serve(id, on, now, &load, &mut parcel, wake) {
                    Turn::Keep => turn.push_back(id),
                    Turn::Full => {
                        turn.push_front(id);
                        break;
                    }
                    Turn::Moved => {}
                    Turn::Leave => {
                        if let Some(outlet) = self.queues.get_mut(id as usize) {
                            outlet.listed = false;
                        }
                    }
                }
            }
            if parcel.batches.is_empty() {
                break;
            }
            self.dispatch(on, &wire, parcel, now);
        }
        if let Some(link) = self.links.get_mut(&on) {
            link.turn.append(&mut turn);
        }
    }

    /// Serves one partition whose turn it is. Adds its next batch to the request, if one may leave.
    fn serve(
        &mut self,
        id: u32,
        on: LinkId,
        now: Instant,
        load: &Load,
        parcel: &mut Parcel,
        wake: &mut Wake,
    ) -> Turn {
        loop {
            let current = match self.identity {
                Standing::Known(identity) => Some(identity),
                _ => None,
            };
            let Some(outlet) = self.queues.get_mut(id as usize) else {
                return Turn::Leave;
            };
            let queue = &mut outlet.queue;
            if queue.link() != Some(on) {
                outlet.listed = false;
                self.list(id);
                // The other connection may have been served already in this round, so another round
                // follows at once.
                wake.at(now);
                return Turn::Moved;
            }
            if !queue.has_waiting() && queue.open_since.is_none() {
                return Turn::Leave;
            }
            let (rules, linger) = (queue.partition.flow.rules, queue.partition.flow.linger);
            match queue.next(now, &rules, current) {
                Next::Send(at) => {
                    let more = queue.waiting_len(at);
                    if !parcel.batches.is_empty() && parcel.bytes + more > parcel.most {
                        return Turn::Full;
                    }
                    load_batch(queue, at, id, &*self.network, parcel, now);
                    return Turn::Keep;
                }
                Next::Open => {
                    let Some(opened) = queue.open_since else {
                        return Turn::Leave;
                    };
                    // Open batches that leave now return their memory sooner to the callers that
                    // wait for it.
                    let hurry = self.shared.budget.waiting() > 0
                        || self.hurried.is_some_and(|time| opened <= time);
                    let when = pace::partial_batch(now, opened, linger, hurry, load);
                    match when {
                        // Not kept in turn. Each wake-up would otherwise look at every partition
                        // whose batch lingers.
                        When::At(time) if !linger.is_zero() => {
                            wake.at(time);
                            if !outlet.lingers {
                                outlet.lingers = true;
                                self.lingering.push(Reverse((time, id)));
                            }
                            return Turn::Leave;
                        }
                        When::At(time) => {
                            wake.at(time);
                            return Turn::Keep;
                        }
                        When::Now => {}
                    }
                    parcel.partial += 1;
                    match self.take_open(id) {
                        Some(batch) => self.close_batch(id, batch),
                        None => return Turn::Leave,
                    }
                }
                Next::Not(time) => {
                    wake.at(time);
                    return Turn::Keep;
                }
                Next::Later => return Turn::Leave,
                Next::NoIdentity => {
                    self.ask_identity();
                    return Turn::Leave;
                }
                Next::Renew(own) => {
                    if !self.renew(id, own) {
                        return Turn::Leave;
                    }
                }
            }
        }
    }

    /// Gives a partition an identity other than `own`. Returns false if one has to be requested
    /// first.
    fn renew(&mut self, id: u32, own: Option<crate::send::sequence::Identity>) -> bool {
        // Another partition may have led to a newer identity, which this one then takes too.
        // Otherwise this one raises the epoch.
        let identity = match &self.identity {
            Standing::Known(identity) if Some(*identity) != own => Some(*identity),
            Standing::Known(identity) => identity.bump(),
            _ => None,
        };
        match identity {
            Some(identity) => {
                self.identity = Standing::Known(identity);
                if let Some(outlet) = self.queues.get_mut(id as usize) {
                    outlet.queue.begin(identity);
                }
                true
            }
            None => {
                self.ask_identity();
                false
            }
        }
    }

    /// Requests a producer id, unless a request is in flight or must wait.
    fn ask_identity(&mut self) {
        match self.identity {
            Standing::Asked => return,
            Standing::Not(time) if time > Instant::now() => return,
            _ => {}
        }
        self.identity = Standing::Asked;
        let asked = self.network.producer_id();
        self.work
            .push(Box::pin(async move { Done::Identity(asked.await) }));
    }

    /// Encodes a request and hands it to the connection.
    fn dispatch(&mut self, on: LinkId, wire: &Arc<dyn Wire>, parcel: Parcel, now: Instant) {
        let acks = self.settings.acks;
        let timeout = self.settings.request_timeout;
        let options = ProduceOptions {
            acks: acks.to_wire(),
            timeout,
            transactional_id: None,
        };
        let Parcel {
            batches,
            sent,
            bytes,
            records,
            partial,
            ..
        } = parcel;
        let full = batches.len() > partial;
        let named = batches.iter().all(|batch| batch.topic_id.is_some());
        // A request names its topics by id (KIP-516) or by name, all alike. If one topic has no id,
        // all go by name.
        let version = wire.version().map(|version| {
            if named {
                version
            } else {
                version.min(produce::TOPIC_IDS_FROM - 1)
            }
        });
        let body =
            version.and_then(|version| Ok((version, produce::encode(version, &options, batches)?)));
        if full {
            self.fans.busy(on.node, now);
        }
        self.windows.of(on.node).sent(bytes);
        let share = Share { bytes, since: now };
        if let Some(link) = self.links.get_mut(&on) {
            link.in_flight += 1;
            link.full_in_flight += usize::from(full);
            if partial > 0 {
                link.sent_partial(now, records, bytes);
            }
        }
        match body {
            Ok((version, body)) => {
                let answer = wire.send(version, body, timeout, acks != Acks::None);
                self.work.push(Box::pin(async move {
                    Done::Answer(Answer {
                        link: on,
                        version,
                        full,
                        share,
                        sent,
                        result: answer.await,
                    })
                }));
            }
            Err(error) => {
                let error = error.with_persistence(Persistence::NotWritten);
                self.answered(
                    Answer {
                        link: on,
                        version: 0,
                        full,
                        share,
                        sent,
                        result: Err(error),
                    },
                    now,
                );
            }
        }
    }
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

/// Moves a waiting batch into flight, and adds it to the request.
fn load_batch(
    queue: &mut Queue,
    at: usize,
    id: u32,
    network: &dyn crate::network::Network,
    parcel: &mut Parcel,
    now: Instant,
) {
    let place = queue.partition.place.clone();
    let rules = queue.partition.flow.rules;
    let Some(batch) = queue.launch(at, &rules) else {
        return;
    };
    batch.first_sent.get_or_insert(now);
    let Some(sealed) = &batch.sealed else { return };
    parcel.bytes += sealed.wire_len();
    parcel.records += u64::from(batch.count);
    let topic_id = network.topic_id(&place.topic);
    parcel.sent.push(Sent {
        queue: id,
        place: batch.place,
        topic_id,
    });
    parcel.batches.push(PartitionBatch {
        topic: place.topic.clone(),
        topic_id,
        partition: place.partition,
        header: sealed.header(batch.stamp),
        body: sealed.body().clone(),
    });
}
