//! The order of records in lanes, and the number of them at work at once.

use std::time::Duration;

use milena_core::{Capability, Order, Outcome, Text};
use milena_lanes::run;
use milena_middleware::Stack;
use milena_middleware::batch::Batching;
use tokio::time::{Instant, sleep};

use crate::bed::{Notes, keyed, orders, rules};

/// Runs records that take a second each, and returns the notes of their starts and ends.
async fn paced(order: Order, records: &[(&str, &str)]) -> (Vec<String>, Duration) {
    let (notes, began) = (Notes::default(), Instant::now());
    let source = keyed(rules(order), records.iter().copied());
    let writer = notes.clone();
    let handler = move |Text(text): Text| {
        let notes = writer.clone();
        async move {
            notes.add(format!("+{text}"));
            sleep(Duration::from_secs(1)).await;
            notes.add(format!("-{text}"));
        }
    };
    let report = run(&source, handler).await.unwrap();
    assert_eq!(report.processed, records.len() as u64);
    (notes.all(), began.elapsed())
}

const RECORDS: [(&str, &str); 4] = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a3")];

#[tokio::test(start_paused = true)]
async fn one_lane_processes_one_record_after_the_other() {
    let (notes, took) = paced(Order::Partition, &RECORDS).await;
    let expected = ["+a1", "-a1", "+a2", "-a2", "+b1", "-b1", "+a3", "-a3"];
    assert_eq!(notes, expected);
    assert_eq!(took.as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn lanes_by_key_keep_the_order_of_each_key_and_work_on_others_meanwhile() {
    let (notes, took) = paced(Order::Key(4), &RECORDS).await;
    let of = |key: char| -> Vec<_> {
        let notes = notes.iter().filter(|note| note.contains(key));
        notes.map(String::as_str).collect()
    };
    assert_eq!(of('a'), ["+a1", "-a1", "+a2", "-a2", "+a3", "-a3"]);
    assert_eq!(of('b'), ["+b1", "-b1"]);
    assert_eq!(took.as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn lanes_without_order_work_on_as_many_records_as_there_are_lanes() {
    let (notes, took) = paced(Order::Unordered(2), &RECORDS).await;
    assert_eq!(took.as_secs(), 2);
    let (mut now, mut most) = (0, 0);
    for note in notes {
        now += if note.starts_with('+') { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!(most, 2);
}

#[tokio::test(start_paused = true)]
async fn a_batch_handler_gets_the_records_of_a_lane_together_and_in_order() {
    let notes = Notes::default();
    let source = orders(rules(Order::Partition), ["1", "2", "3", "4", "5"]);
    let writer = notes.clone();
    let handler = move |texts: Vec<Text>| {
        let texts: Vec<_> = texts.into_iter().map(|Text(text)| text).collect();
        writer.add(texts.join(" "));
        async { Outcome::Ack }
    };
    let stack = Stack::new().batch(Batching::up_to(3), handler);
    let report = run(&source, stack).await.unwrap();
    assert_eq!(report.processed, 5);
    assert_eq!(notes.all(), ["1 2 3", "4 5"]);
}

#[test]
fn a_source_in_memory_can_do_everything_that_a_run_may_need() {
    let source = orders(rules(Order::Partition), []);
    let can = milena_lanes::Source::capabilities(&**milena_lanes::Drive::source(&source));
    assert!(Capability::ALL.into_iter().all(|each| can.has(each)));
}
