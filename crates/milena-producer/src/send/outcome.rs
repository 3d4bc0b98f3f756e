//! The meaning of an answer to a request, as a list of effects. It decides and changes nothing.

use std::time::Duration;

use milena_core::{Acks, Error, ErrorCode, ErrorKind, NodeId, Offset, Timestamp, TopicPartition};
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use milena_protocol::produce::{self, ProduceResponse, ProducedPartition};
use uuid::Uuid;

use crate::send::queue::id::QueueId;
use crate::send::request::{Answer, Sent};
use crate::send::verdict::{self, Verdict};

/// A change that an answer asks for. Effects are carried out in their order.
#[derive(Debug)]
pub(super) enum Effect {
    /// The broker asks for silence on all connections to it.
    Throttle(Duration),
    /// The answer names new leaders, and the addresses of their brokers.
    Learn(Vec<(TopicPartition, LeaderHint)>, Vec<NodeEndpoint>),
    /// The metadata is out of date, for this reason.
    Refresh(&'static str),
    /// The connection did not accept the batch, so it goes back without an attempt.
    TakeBack(Sent),
    /// Another producer uses the producer id.
    ForgetIdentity,
    /// An attempt to send the batch has ended.
    Settle(Sent, Attempt),
    /// The broker that answered no longer leads the partition. If another leader is known already,
    /// its batches need not wait, else metadata is requested.
    FindLeader(QueueId),
}

/// The end of an attempt to send a batch.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The next step for the batch.
    pub(super) verdict: Verdict,
    /// The facts about a batch that was written.
    pub(super) written: Written,
    /// The records that the broker refused, by index, each with its error (KIP-467). `None` if the
    /// broker named none.
    pub(super) refused: Option<Vec<(u32, Error)>>,
}

/// The facts that an answer gives about a batch that was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    /// The offset of its first record. `None` if the broker did not say.
    pub(super) base: Option<Offset>,
    /// The time at which the broker appended it. `None` if the records keep their own timestamps.
    pub(super) appended: Option<Timestamp>,
}

impl From<Verdict> for Attempt {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            written: Written::default(),
            refused: None,
        }
    }
}

/// Returns what an answer asks for. `partition` tells the partition of a queue.
pub(super) fn of<'a>(
    answer: &Answer,
    acks: Acks,
    partition: impl Fn(QueueId) -> &'a TopicPartition,
) -> Vec<Effect> {
    let (node, sent) = (answer.link.node, &answer.sent);
    let body = match &answer.result {
        Ok(_) if acks == Acks::None => {
            let delivered = |sent: &Sent| Effect::Settle(*sent, Verdict::Delivered.into());
            return sent.iter().map(delivered).collect();
        }
        Ok(body) => body,
        Err(error) => return failed(sent, error.clone(), node, acks),
    };
    match produce::decode_response(body, answer.version) {
        Ok(response) => answered(&matched(sent, &response, partition), &response, node),
        Err(error) => failed(sent, error, node, acks),
    }
}

/// Returns what a request without a usable answer asks for.
fn failed(sent: &[Sent], error: Error, node: NodeId, acks: Acks) -> Vec<Effect> {
    if verdict::was_not_taken(&error) {
        return sent.iter().copied().map(Effect::TakeBack).collect();
    }
    let error = error.node(node).api("Produce");
    let mut verdict = verdict::of_failure(error);
    if acks == Acks::None {
        verdict = unanswerable(verdict);
    }
    let mut effects = Vec::with_capacity(sent.len() + 1);
    if matches!(verdict, Verdict::Retry { stale: true, .. }) {
        effects.push(Effect::Refresh("a broker did not answer"));
    }
    let settle = |sent: &Sent| Effect::Settle(*sent, verdict.clone().into());
    effects.extend(sent.iter().map(settle));
    effects
}

/// A batch, its partition, and the part of the answer that is for it. `None` if the answer leaves
/// the partition out.
struct Match<'a, 'b> {
    /// The batch.
    sent: Sent,
    /// Its partition.
    partition: &'a TopicPartition,
    /// The answer for it.
    answer: Option<&'b ProducedPartition<'b>>,
}

/// Finds the part of the answer for each batch.
fn matched<'a, 'b>(
    sent: &[Sent],
    response: &'b ProduceResponse<'b>,
    partition: impl Fn(QueueId) -> &'a TopicPartition,
) -> Vec<Match<'a, 'b>> {
    let answers = &response.partitions;
    let mut matched = Vec::with_capacity(sent.len());
    let mut next = 0;
    for sent in sent {
        let partition = partition(sent.queue);
        // Brokers mostly answer in the order of the request, so the search starts where the last
        // one ended.
        let found = (next..answers.len()).chain(0..next).find(|at| {
            answers
                .get(*at)
                .is_some_and(|one| is(one, partition, sent.topic_id))
        });
        matched.push(Match {
            sent: *sent,
            partition,
            answer: found.and_then(|at| answers.get(at)),
        });
        next = found.map_or(next, |at| at + 1);
    }
    matched
}

/// Returns what an answer that could be decoded asks for.
fn answered(
    matched: &[Match<'_, '_>],
    response: &ProduceResponse<'_>,
    node: NodeId,
) -> Vec<Effect> {
    let mut effects = Vec::with_capacity(matched.len());
    if !response.throttle.is_zero() {
        effects.push(Effect::Throttle(response.throttle));
    }
    // All leaders that the answer names are learned at once, since each call of `learn` builds new
    // metadata.
    let hints = matched.iter().filter_map(|one| {
        let answer = one.answer.filter(|answer| is_stale(answer))?;
        Some((one.partition.clone(), answer.leader?))
    });
    let hints: Vec<_> = hints.collect();
    if !hints.is_empty() {
        effects.push(Effect::Learn(hints, response.endpoints.clone()));
    }
    for one in matched {
        match one.answer {
            Some(answer) => one_answer(one.sent, answer, node, &mut effects),
            None => {
                let what = "the answer does not contain the partition";
                let error = Error::new(ErrorKind::Decode, what);
                let verdict = verdict::of_failure(error.node(node).api("Produce"));
                effects.push(Effect::Settle(one.sent, verdict.into()));
            }
        }
    }
    effects
}

/// Adds what the answer for one batch asks for.
fn one_answer(sent: Sent, answer: &ProducedPartition<'_>, node: NodeId, effects: &mut Vec<Effect>) {
    let mut verdict = verdict::of_answer(answer.error);
    if let Some(error) = verdict.error_mut() {
        *error = error.clone().node(node);
        if let Some(message) = answer.message {
            *error = error.clone().with_source(message.to_owned());
        }
    }
    let stale = matches!(verdict, Verdict::Retry { stale: true, .. });
    if let Verdict::Fail { error, .. } = &verdict
        && error.kind() == ErrorKind::Fenced
    {
        effects.push(Effect::ForgetIdentity);
    }
    let attempt = Attempt {
        verdict,
        written: Written {
            base: answer.base_offset,
            appended: answer.append_time,
        },
        refused: refused(answer),
    };
    effects.push(Effect::Settle(sent, attempt));
    if stale {
        effects.push(Effect::FindLeader(sent.queue));
    }
}

/// Returns the records that the broker refused, each with its error. `None` if it named none.
fn refused(answer: &ProducedPartition<'_>) -> Option<Vec<(u32, Error)>> {
    let errors = answer.record_errors.iter().map(|one| {
        let code = answer.error.unwrap_or(ErrorCode::INVALID_RECORD);
        let message = one.message.or(answer.message);
        let message = message.unwrap_or("the broker refused the record");
        let error = Error::broker(code).api("Produce");
        (one.index, error.with_source(message.to_owned()))
    });
    (!answer.record_errors.is_empty()).then(|| errors.collect())
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

#[cfg(test)]
mod tests;
