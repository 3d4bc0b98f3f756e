//! The order of one partition under every kind of answer.

use milena_core::{
    Backoff, ErrorCode, ErrorKind, HeadersRef, ProducerEpoch, ProducerId, Sequence, Timestamp,
    TopicPartition,
};
use milena_protocol::batch::BatchBuilder;
use milena_protocol::compression::Compression;

use std::time::Duration;

use super::*;
use crate::delivery::{Delivery, Receipt};
use crate::enqueue::memory::Budget;
use crate::send::verdict;

const NODE: Option<NodeId> = NodeId::from_wire(1);

fn rules() -> Rules {
    Rules {
        missing_topic: Duration::from_secs(15),
        idempotent: true,
        in_flight: 5,
        delivery_timeout: Duration::from_secs(120),
        retries: u32::MAX,
        backoff: Backoff::default().jitter(0.0),
    }
}

fn identity(epoch: i16) -> Identity {
    Identity {
        id: ProducerId::from_wire(7).unwrap(),
        epoch: ProducerEpoch::from_wire(epoch).unwrap(),
    }
}

/// Returns a queue with `count` batches of two records each. With `steady`, a batch was
/// acknowledged before.
fn queue(count: usize, steady: bool) -> Queue {
    let place = TopicPartition::new("orders", 0);
    let flow = crate::settings::SettingsDraft::default()
        .check()
        .unwrap()
        .flows
        .usual()
        .clone();
    let mut queue = Queue::new(
        QueueId::nth(0),
        Arc::new(Partition::new(place, 0, flow, Arc::default())),
    );
    queue.led_by(NODE);
    queue.begin(identity(0));
    if steady {
        queue.sequences.acknowledged();
    }
    for _ in 0..count {
        let batch = batch(&mut queue);
        queue.push(batch);
    }
    queue
}

fn batch(queue: &mut Queue) -> Batch {
    let mut builder = BatchBuilder::with_capacity(64);
    for _ in 0..2 {
        let value = Some(&b"v"[..]);
        builder
            .append(Timestamp::from_millis(1), None, value, HeadersRef::empty())
            .unwrap();
    }
    Batch {
        place: queue.next_place(),
        sealed: Some(builder.seal(Compression::None).unwrap().0),
        count: 2,
        receipt: Receipt::new(queue.partition.place.clone()),
        charge: Budget::new(1000).try_take(64).unwrap(),
        opened: Instant::now(),
        first_sent: None,
        stamp: None,
        range: 0,
        attempts: 0,
        doubt: false,
        suspect: false,
        trims: 0,
    }
}

/// Sends everything that may leave. Returns the places and the first sequences.
fn send(queue: &mut Queue, now: Instant) -> Vec<(Place, i32)> {
    let mut sent = Vec::new();
    while let Next::Send(at) = queue.next(now, &rules(), Some(identity(0))) {
        let batch = queue.launch(at, &rules()).unwrap();
        sent.push((batch.place, batch.stamp.unwrap().sequence.to_wire()));
    }
    sent
}

fn code(code: ErrorCode) -> Verdict {
    verdict::of_answer(Some(code))
}

fn lost() -> Verdict {
    verdict::of_failure(Error::new(ErrorKind::Transport, "reset"))
}

#[tokio::test(start_paused = true)]
async fn five_in_flight_with_the_first_failing_keep_order_and_sequences() {
    let mut queue = queue(7, true);
    let now = Instant::now();
    let sent = send(&mut queue, now);
    assert_eq!(
        sent.iter().map(|(_, first)| *first).collect::<Vec<_>>(),
        [0, 2, 4, 6, 8]
    );
    queue.answer(
        sent[0].0,
        code(ErrorCode::NOT_ENOUGH_REPLICAS),
        now,
        &rules(),
    );
    for (place, _) in &sent[1..] {
        queue.answer(
            *place,
            code(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
            now,
            &rules(),
        );
    }
    assert!(matches!(
        queue.next(now, &rules(), Some(identity(0))),
        Next::Not(_)
    ));
    let later = now + Duration::from_secs(1);
    // The oldest batch goes alone until it is acknowledged. Then the others follow in order, as
    // they were.
    assert_eq!(send(&mut queue, later), sent[..1]);
    queue.answer(sent[0].0, Verdict::Delivered, later, &rules());
    let again = send(&mut queue, later);
    assert_eq!(again[..4], sent[1..]);
    assert_eq!(again[4].1, 10);
}

#[tokio::test(start_paused = true)]
async fn a_new_identity_sends_one_batch_until_the_first_answer() {
    let mut queue = queue(3, false);
    let now = Instant::now();
    let sent = send(&mut queue, now);
    assert_eq!(sent.len(), 1);
    queue.answer(sent[0].0, Verdict::Delivered, now, &rules());
    assert_eq!(send(&mut queue, now).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_leader_change_waits_for_the_answers_of_the_old_leader() {
    let mut queue = queue(3, true);
    let now = Instant::now();
    let first = queue.launch(0, &rules()).unwrap().place;
    queue.led_by(NodeId::from_wire(2));
    assert_eq!(queue.next(now, &rules(), Some(identity(0))), Next::Later);
    queue.answer(
        first,
        code(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        now,
        &rules(),
    );
    queue.hurry();
    assert_eq!(send(&mut queue, now)[0].0, first);
}

#[tokio::test(start_paused = true)]
async fn a_forgetful_broker_gets_a_new_epoch_from_zero() {
    let mut queue = queue(2, true);
    let now = Instant::now();
    let sent = send(&mut queue, now);
    queue.answer(sent[0].0, Verdict::Delivered, now, &rules());
    queue.answer(
        sent[1].0,
        code(ErrorCode::UNKNOWN_PRODUCER_ID),
        now,
        &rules(),
    );
    let later = now + Duration::from_secs(1);
    assert_eq!(
        queue.next(later, &rules(), Some(identity(0))),
        Next::Renew(Some(identity(0)))
    );
    queue.begin(identity(1));
    assert_eq!(
        queue.next(later, &rules(), Some(identity(1))),
        Next::Send(0)
    );
    let stamp = queue.launch(0, &rules()).unwrap().stamp.unwrap();
    assert_eq!((stamp.epoch.to_wire(), stamp.sequence), (1, Sequence::ZERO));
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_range_doubtful_batches_are_sent_as_they_were_before_the_epoch_changes() {
    let mut queue = queue(3, true);
    let now = Instant::now();
    let sent = send(&mut queue, now);
    let refused = queue.answer(sent[0].0, code(ErrorCode::INVALID_RECORD), now, &rules());
    assert!(matches!(refused, Settled::Failed(..)));
    queue.answer(
        sent[1].0,
        code(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
        now,
        &rules(),
    );
    queue.answer(sent[2].0, lost(), now, &rules());
    let later = now + Duration::from_secs(1);
    assert_eq!(send(&mut queue, later), sent[2..]);
    queue.answer(
        sent[2].0,
        code(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
        later,
        &rules(),
    );
    let later = later + Duration::from_secs(1);
    assert!(matches!(
        queue.next(later, &rules(), Some(identity(0))),
        Next::Renew(Some(_))
    ));
    queue.begin(identity(1));
    assert_eq!(
        queue.next(later, &rules(), Some(identity(1))),
        Next::Send(0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_flight_expires_as_possibly_written_and_its_late_answer_closes_the_gap() {
    let mut queue = queue(2, true);
    let first = queue.launch(0, &rules()).unwrap().place;
    let receipt = queue.flying[0].receipt.clone();
    let late = Instant::now() + Duration::from_secs(120);
    let expired = queue.expire(late, &rules());
    let kinds: Vec<_> = expired
        .iter()
        .map(|(_, error)| error.persistence().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [Persistence::PossiblyWritten, Persistence::NotWritten]
    );
    let error = Delivery::new(receipt, 0).outcome().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    queue.answer(first, Verdict::Delivered, late, &rules());
    assert!(!queue.sequences.has_gap() && queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn an_expired_batch_whose_answer_is_lost_leaves_a_gap() {
    let mut queue = queue(1, true);
    let first = queue.launch(0, &rules()).unwrap().place;
    let late = Instant::now() + Duration::from_secs(120);
    queue.expire(late, &rules());
    assert!(matches!(
        queue.answer(first, lost(), late, &rules()),
        Settled::Gone
    ));
    assert!(queue.sequences.has_gap());
}

#[tokio::test(start_paused = true)]
async fn a_new_identity_is_taken_up_only_when_nothing_of_the_old_is_open() {
    let mut queue = queue(2, true);
    let now = Instant::now();
    let first = queue.launch(0, &rules()).unwrap().place;
    // Another partition made the producer raise its epoch. This one goes on in the old one.
    assert_eq!(queue.next(now, &rules(), Some(identity(1))), Next::Send(0));
    queue.answer(first, Verdict::Delivered, now, &rules());
    assert_eq!(
        queue.next(now, &rules(), Some(identity(1))),
        Next::Renew(Some(identity(0)))
    );
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_split_batch_take_its_place() {
    let mut queue = queue(3, true);
    let now = Instant::now();
    let sent = send(&mut queue, now);
    let too_large = queue.answer(sent[0].0, code(ErrorCode::MESSAGE_TOO_LARGE), now, &rules());
    assert!(matches!(too_large, Settled::TooLarge(..)));
    for first in [1, 0] {
        let mut part = batch(&mut queue);
        part.place = Place { first, ..sent[0].0 };
        queue.push(part);
    }
    let order: Vec<_> = queue.waiting.iter().map(|one| one.place.first).collect();
    assert_eq!(order, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_settled_batch_is_not_failed_again_when_all_fail() {
    let mut queue = queue(2, true);
    queue.launch(0, &rules());
    queue.flying[0].receipt.settle(Fate::Delivered {
        base: None,
        appended: None,
    });
    let failed = queue.fail_all(&Error::new(ErrorKind::Closed, "closed"));
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].1.persistence(), Some(Persistence::NotWritten));
    assert!(queue.is_idle());
}

#[tokio::test(start_paused = true)]
async fn what_troubled_earlier_records_is_not_said_of_those_that_come_when_none_were_left() {
    let mut idle = queue(0, true);
    idle.blame(&Error::new(ErrorKind::Transport, "gone"));
    idle.missing(true, Instant::now());
    assert!(idle.held_up().is_none(), "nothing is held up");
    tokio::time::advance(Duration::from_secs(3600)).await;
    idle.starts();
    let batch = batch(&mut idle);
    idle.push(batch);
    let now = Instant::now();
    assert!(idle.held_up().is_none() && !idle.is_missing(now, &rules()));
    let sent = send(&mut idle, now);
    idle.answer(sent[0].0, lost(), now, &rules());
    assert_eq!(idle.held_up().map(|held_up| held_up.since), Some(now));
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_given_up_only_where_each_answer_says_for_long_that_it_is_not_there() {
    let mut queue = queue(1, true);
    let unknown = || code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let mut answer = |after: u64, verdict: Verdict| {
        let now = Instant::now() + Duration::from_secs(after);
        let sent = send(&mut queue, now);
        queue.answer(sent[0].0, verdict, now, &rules());
        queue.give_up_missing(now, &rules()).len()
    };
    assert_eq!(answer(0, unknown()), 0);
    assert_eq!(answer(14, unknown()), 0);
    assert_eq!(answer(16, code(ErrorCode::NOT_ENOUGH_REPLICAS)), 0);
    assert_eq!(answer(20, unknown()), 0, "it was there in between");
    assert_eq!(answer(30, lost()), 0, "no answer says nothing");
    assert_eq!(answer(35, unknown()), 1);
}
