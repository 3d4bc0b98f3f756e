//! Answers. Each batch of a request gets its verdict, and its records their outcome.

use std::time::Duration;

use milena_core::{Acks, Error, ErrorCode, ErrorKind, Event, NodeId, TopicPartition};
use milena_protocol::batch::SealedBatch;
use milena_protocol::produce::{self, ProduceResponse, ProducedPartition};
use tokio::time::Instant;
use uuid::Uuid;

use crate::delivery::Fate;
use crate::send::batch::Place;
use crate::send::queue::Settled;
use crate::send::task::{Answer, Sender, Sent, Standing};
use crate::send::verdict::{self, Verdict};

/// The facts that an answer gives about a batch that was written.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// The offset of its first record. `None` if the broker did not say.
    base: Option<milena_core::Offset>,
    /// The time at which the broker appended it. `None` if the records keep their own timestamps.
    appended: Option<milena_core::Timestamp>,
}

impl Sender {
    /// Handles the answer to a request, or the failure to get one.
    pub(crate) fn answered(&mut self, answer: Answer, now: Instant) {
        let Answer {
            link: id,
            version,
            full,
            share,
            sent,
            result,
        } = answer;
        let node = id.node;
        let window = self.windows.of(node);
        match &result {
            Ok(_) => {
                let took = now.saturating_duration_since(share.since);
                window.answered(share.bytes, took, self.settings.request_timeout);
            }
            Err(error) if verdict::was_not_taken(error) => window.returned(share.bytes),
            Err(_) => window.lost(share.bytes),
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.in_flight = link.in_flight.saturating_sub(1);
            link.full_in_flight = link.full_in_flight.saturating_sub(usize::from(full));
        }
        let failed = match result {
            Ok(_) if self.settings.acks == Acks::None => {
                for Sent { queue, place, .. } in &sent {
                    let (delivered, written) = (Verdict::Delivered, Written::default());
                    self.settle(*queue, *place, delivered, written, None, now);
                }
                None
            }
            Ok(body) => match produce::decode_response(&body, version) {
                Ok(answer) => {
                    if !answer.throttle.is_zero() {
                        let links = self.links.values().filter(|link| link.id.node == node);
                        links.for_each(|link| link.throttle(answer.throttle));
                    }
                    self.answers(&sent, &answer, node, now);
                    None
                }
                Err(error) => Some(error),
            },
            Err(error) => Some(error),
        };
        if let Some(error) = &failed
            && verdict::was_not_taken(error)
        {
            for Sent { queue, place, .. } in &sent {
                if let Some(outlet) = self.queues.get_mut(*queue as usize) {
                    let rules = outlet.queue.partition.flow.rules;
                    outlet.queue.take_back(*place, now, &rules);
                }
            }
        } else if let Some(error) = failed {
            let error = error.node(node).api("Produce");
            let mut verdict = verdict::of_failure(error);
            if self.settings.acks == Acks::None {
                verdict = unanswerable(verdict);
            }
            if matches!(verdict, Verdict::Retry { stale: true, .. }) {
                self.network.refresh("a broker did not answer");
            }
            for Sent { queue, place, .. } in &sent {
                let (verdict, written) = (verdict.clone(), Written::default());
                self.settle(*queue, *place, verdict, written, None, now);
            }
        }
        for Sent { queue, .. } in sent {
            self.list(queue);
        }
    }

    /// Handles an answer that could be decoded, for each batch of the request.
    fn answers(&mut self, sent: &[Sent], answer: &ProduceResponse<'_>, node: NodeId, now: Instant) {
        let matched = self.matched(sent, &answer.partitions);
        // All leaders that the answer names are learned at once, since each call of `learn` builds
        // new metadata.
        let hints = matched.iter().filter_map(|(sent, one)| {
            let one = one.filter(|one| is_stale(one))?;
            let outlet = self.queues.get(sent.queue as usize)?;
            Some((
                TopicPartition::clone(&outlet.queue.partition.place),
                one.leader?,
            ))
        });
        let hints: Vec<_> = hints.collect();
        if !hints.is_empty() {
            self.network.learn(hints, &answer.endpoints);
        }
        for (Sent { queue, place, .. }, one) in matched {
            let Some(one) = one else {
                let what = "the answer does not contain the partition";
                let error = Error::new(ErrorKind::Decode, what)
                    .node(node)
                    .api("Produce");
                let verdict = verdict::of_failure(error);
                self.settle(*queue, *place, verdict, Written::default(), None, now);
                continue;
            };
            self.one_answer(*queue, *place, one, node, now);
        }
    }

    /// Finds the part of the answer for each batch. `None` if the answer leaves the partition out.
    fn matched<'a, 'b>(
        &self,
        sent: &'a [Sent],
        answers: &'b [ProducedPartition<'b>],
    ) -> Vec<(&'a Sent, Option<&'b ProducedPartition<'b>>)> {
        let mut matched = Vec::with_capacity(sent.len());
        let mut next = 0;
        for each in sent {
            let Some(outlet) = self.queues.get(each.queue as usize) else {
                continue;
            };
            let partition = &outlet.queue.partition.place;
            // Brokers mostly answer in the order of the request, so the search starts where the
            // last one ended.
            let found = (next..answers.len()).chain(0..next).find(|at| {
                answers
                    .get(*at)
                    .is_some_and(|one| is(one, partition, each.topic_id))
            });
            matched.push((each, found.and_then(|at| answers.get(at))));
            next = found.map_or(next, |at| at + 1);
        }
        matched
    }

    /// Handles the answer for one batch.
    fn one_answer(
        &mut self,
        id: u32,
        place: Place,
        answer: &ProducedPartition<'_>,
        node: NodeId,
        now: Instant,
    ) {
        let mut verdict = verdict::of_answer(answer.error);
        if let Verdict::Retry { error, .. }
        | Verdict::OutOfOrder(error)
        | Verdict::Forgotten(error)
        | Verdict::Duplicate(error)
        | Verdict::TooLarge(error)
        | Verdict::Fail { error, .. } = &mut verdict
        {
            *error = error.clone().node(node);
            if let Some(message) = answer.message {
                *error = error.clone().with_source(message.to_owned());
            }
        }
        let mut moved = false;
        if let Verdict::Retry { stale: true, .. } = verdict
            && let Some(outlet) = self.queues.get(id as usize)
        {
            let place = &outlet.queue.partition.place;
            moved = self
                .network
                .leader(place)
                .is_some_and(|known| known != node);
            if !moved {
                let reason = "a broker no longer leads a partition";
                self.network.refresh_topic(&place.topic, reason);
            }
        }
        if let Verdict::Fail { error, .. } = &verdict
            && error.kind() == ErrorKind::Fenced
            && matches!(self.identity, Standing::Known(_))
        {
            // The producer that fenced this one goes on under the old id.
            self.identity = Standing::None;
        }
        let each = (!answer.record_errors.is_empty()).then(|| {
            let errors = answer.record_errors.iter().map(|one| {
                let error =
                    Error::broker(answer.error.unwrap_or(ErrorCode::INVALID_RECORD)).api("Produce");
                let message = one.message.or(answer.message);
                let message = message.unwrap_or("the broker refused the record");
                (one.index, error.with_source(message.to_owned()))
            });
            errors.collect()
        });
        let written = Written {
            base: answer.base_offset,
            appended: answer.append_time,
        };
        self.settle(id, place, verdict, written, each, now);
        if moved && let Some(outlet) = self.queues.get_mut(id as usize) {
            // Another leader is known already, so there is nothing to wait for. A hint alone would
            // not justify this. A broker with old metadata may name the one that has just refused
            // the batch, and both would be asked in turn without a pause.
            outlet.queue.hurry();
        }
    }

    /// Applies a verdict to a batch, and settles its records if it has its outcome.
    fn settle(
        &mut self,
        id: u32,
        place: Place,
        verdict: Verdict,
        written: Written,
        each: Option<Vec<(u32, Error)>>,
        now: Instant,
    ) {
        let Some(outlet) = self.queues.get_mut(id as usize) else {
            return;
        };
        let rules = outlet.queue.partition.flow.rules;
        let mut settled = outlet.queue.answer(place, verdict, now, &rules);
        if let Settled::TooLarge(batch, error) = settled {
            settled = self.split(id, batch, error, now);
        }
        let Some(outlet) = self.queues.get(id as usize) else {
            return;
        };
        let partition = outlet.queue.partition.place.clone();
        let observers = &self.settings.observers;
        match settled {
            Settled::Delivered(batch) => {
                let Written { base, appended } = written;
                let first = batch.receipt.settle(Fate::Delivered { base, appended });
                if batch.count > 1 {
                    let of = &outlet.queue.partition;
                    of.limit.taken(batch.plain_len(), of.flow.batch_size, now);
                }
                if first {
                    observers.emit(|| Event::BatchDelivered {
                        partition: &partition,
                        records: batch.count,
                        bytes: batch.wire_len(),
                        plain: batch.plain_len(),
                        limit: outlet.queue.partition.flow.batch_size,
                        queued: batch.first_sent.map_or(Duration::ZERO, |sent| {
                            sent.saturating_duration_since(batch.opened)
                        }),
                        elapsed: now.duration_since(batch.opened),
                    });
                }
                // The charge is returned first, so that the bytes in use no longer include this
                // buffer.
                drop(batch.charge);
                if let Some(buffer) = batch.sealed.and_then(SealedBatch::reclaim) {
                    let used = self.shared.budget.used();
                    self.shared.buffers.give(buffer, used);
                }
            }
            Settled::Retried {
                attempts,
                records,
                error,
            } => {
                observers.emit(|| Event::BatchRetried {
                    partition: &partition,
                    records,
                    attempts,
                    error: &error,
                });
                self.notices.trouble(now);
                self.give_up_missing(id, now);
            }
            Settled::Failed(batch, error) => {
                let each = match each {
                    Some(refused) if self.may_send_rest(&batch, &refused, &rules) => {
                        return self.send_rest(id, batch, error, refused);
                    }
                    each => each,
                };
                let error = batch.failure(error, &partition);
                let fate = match each {
                    Some(each) => Fate::Refused {
                        rest: error.clone(),
                        each: each
                            .into_iter()
                            .map(|(index, error)| (index, batch.failure(error, &partition)))
                            .collect(),
                    },
                    None => Fate::Failed(error.clone()),
                };
                if batch.receipt.settle(fate) {
                    self.tell_failed(&partition, batch.count, &error);
                }
            }
            Settled::TooLarge(..) | Settled::Gone => {}
        }
    }
}

/// Returns true if an answer is for `partition` of the topic that had `topic_id` when the batch was
/// sent.
fn is(answer: &ProducedPartition<'_>, partition: &TopicPartition, topic_id: Option<Uuid>) -> bool {
    answer.partition == partition.partition && answer.topic.is(&partition.topic, topic_id)
}

/// Returns true if an answer says that another broker leads the partition.
fn is_stale(answer: &ProducedPartition<'_>) -> bool {
    let verdict = verdict::of_answer(answer.error);
    matches!(verdict, Verdict::Retry { stale: true, .. })
}

/// Turns a retry into a failure in doubt. With acks=0 the broker does not say whether a record was
/// written, so sending it again could write it twice.
fn unanswerable(verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Retry { error, .. } => Verdict::Fail { error, doubt: true },
        other => other,
    }
}
