//! The effects of every kind of answer. No task, queue or connection is needed.

use bytes::{Bytes, BytesMut};
use milena_core::Persistence;
use milena_protocol::kafka::protocol::Encodable;
use milena_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, PartitionProduceResponse, TopicProduceResponse,
};
use tokio::time::Instant;

use super::*;
use crate::network::LinkId;
use crate::send::batch::Place;
use crate::send::window::Share;

/// A version that names topics by name and hints at leaders.
const VERSION: i16 = 10;

fn node() -> NodeId {
    NodeId::from_wire(1).unwrap()
}

/// Returns the result of a request with one batch for each of the first `count` partitions.
fn answer(count: usize, result: milena_core::Result<Bytes>) -> Answer {
    let sent = (0..count).map(|index| Sent {
        queue: QueueId::nth(index),
        place: Place {
            number: 1,
            first: 0,
        },
        topic_id: None,
    });
    Answer {
        link: LinkId::first(node()),
        version: VERSION,
        full: false,
        share: Share {
            bytes: 0,
            since: Instant::now(),
        },
        sent: sent.collect(),
        result,
    }
}

/// Returns the answer for partition `index` with this code.
fn partition(index: i32, code: i16) -> PartitionProduceResponse {
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(code)
        .with_base_offset(if code == 0 { 40 } else { -1 })
}

/// Encodes an answer that holds these partitions.
fn body(partitions: Vec<PartitionProduceResponse>, throttle_ms: i32) -> milena_core::Result<Bytes> {
    let topic = TopicProduceResponse::default()
        .with_name(milena_protocol::messages::TopicName(
            milena_protocol::kafka::protocol::StrBytes::from_static_str("orders"),
        ))
        .with_partition_responses(partitions);
    let response = milena_protocol::messages::ProduceResponse::default()
        .with_responses(vec![topic])
        .with_throttle_time_ms(throttle_ms);
    let mut body = BytesMut::new();
    response.encode(&mut body, VERSION).unwrap();
    Ok(body.freeze())
}

/// Returns the effects of an answer as short texts.
fn effects(answer: &Answer, acks: Acks) -> Vec<String> {
    let partitions: Vec<_> = (0..4)
        .map(|number| TopicPartition::new("orders", number))
        .collect();
    let effects = of(answer, acks, |id| &partitions[id.index()]);
    effects.iter().map(text).collect()
}

fn text(effect: &Effect) -> String {
    match effect {
        Effect::Throttle(wait) => format!("throttle {wait:?}"),
        Effect::Learn(hints, endpoints) => {
            format!("learn {} at {}", hints.len(), endpoints.len())
        }
        Effect::Refresh(_) => "refresh".to_owned(),
        Effect::TakeBack(sent) => format!("take back {}", sent.queue.index()),
        Effect::ForgetIdentity => "forget identity".to_owned(),
        Effect::FindLeader(id) => format!("find leader {}", id.index()),
        Effect::Settle(sent, attempt) => {
            let verdict = match &attempt.verdict {
                Verdict::Delivered => format!("delivered {:?}", attempt.written.base.is_some()),
                Verdict::Retry { doubt, .. } => format!("retry doubt={doubt}"),
                Verdict::Fail { doubt, .. } => format!("fail doubt={doubt}"),
                Verdict::TooLarge(_) => "too large".to_owned(),
                other => format!("{other:?}"),
            };
            format!("{}: {verdict}", sent.queue.index())
        }
    }
}

#[test]
fn answers_in_another_order_reach_their_batches() {
    let body = body(vec![partition(1, 0), partition(2, 10), partition(0, 0)], 0);
    assert_eq!(
        effects(&answer(3, body), Acks::All),
        ["0: delivered true", "1: delivered true", "2: too large"]
    );
}

#[test]
fn a_partition_that_the_answer_leaves_out_stays_in_doubt() {
    let body = body(vec![partition(0, 0)], 0);
    assert_eq!(
        effects(&answer(2, body), Acks::All),
        ["0: delivered true", "1: retry doubt=true"]
    );
}

#[test]
fn a_throttle_comes_before_the_outcomes() {
    let body = body(vec![partition(0, 0)], 70);
    assert_eq!(
        effects(&answer(1, body), Acks::All),
        ["throttle 70ms", "0: delivered true"]
    );
}

#[test]
fn a_leader_that_moved_is_learned_first_and_looked_for_after_the_batch() {
    let hint = LeaderIdAndEpoch::default()
        .with_leader_id(2.into())
        .with_leader_epoch(7);
    let moved = partition(0, 6).with_current_leader(hint);
    let body = body(vec![moved, partition(1, 0)], 0);
    assert_eq!(
        effects(&answer(2, body), Acks::All),
        [
            "learn 1 at 0",
            "0: retry doubt=true",
            "find leader 0",
            "1: delivered true"
        ]
    );
}

#[test]
fn a_fenced_producer_forgets_its_identity() {
    let body = body(vec![partition(0, 90)], 0);
    assert_eq!(
        effects(&answer(1, body), Acks::All),
        ["forget identity", "0: fail doubt=false"]
    );
}

#[test]
fn each_refused_record_has_the_broker_s_own_words() {
    let named = BatchIndexAndErrorMessage::default()
        .with_batch_index(3)
        .with_batch_index_error_message(Some("no key".into()));
    let refused = partition(0, 87).with_record_errors(vec![named]);
    let orders = TopicPartition::new("orders", 0);
    let effects = of(&answer(1, body(vec![refused], 0)), Acks::All, |_| &orders);
    let [Effect::Settle(_, attempt)] = &effects[..] else {
        panic!("{effects:?}");
    };
    let [(index, error)] = &attempt.refused.as_ref().unwrap()[..] else {
        panic!("{attempt:?}");
    };
    assert_eq!(*index, 3);
    let source = std::error::Error::source(error).unwrap();
    assert_eq!(source.to_string(), "no key");
}

#[test]
fn a_lost_answer_leaves_all_batches_in_doubt_and_asks_for_metadata() {
    let lost = Error::new(ErrorKind::Transport, "reset");
    assert_eq!(
        effects(&answer(2, Err(lost)), Acks::All),
        ["refresh", "0: retry doubt=true", "1: retry doubt=true"]
    );
}

#[test]
fn a_request_that_its_connection_did_not_accept_is_taken_back() {
    let full = Error::new(ErrorKind::State, "full").with_persistence(Persistence::NotWritten);
    assert_eq!(
        effects(&answer(2, Err(full)), Acks::All),
        ["take back 0", "take back 1"]
    );
}

#[test]
fn without_acknowledgements_nothing_is_sent_again() {
    assert_eq!(
        effects(&answer(1, Ok(Bytes::new())), Acks::None),
        ["0: delivered false"]
    );
    let lost = Error::new(ErrorKind::Transport, "reset");
    assert_eq!(
        effects(&answer(1, Err(lost)), Acks::None),
        ["0: fail doubt=true"]
    );
}

#[test]
fn an_answer_that_cannot_be_read_counts_as_lost() {
    let torn = Ok(Bytes::from_static(&[0, 0, 0]));
    assert_eq!(
        effects(&answer(1, torn), Acks::All),
        ["refresh", "0: retry doubt=true"]
    );
}
