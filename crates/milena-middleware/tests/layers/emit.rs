//! The records that a handler emits are written before their source record is done, and only if it
//! is.

use std::time::Duration;

use milena_core::{Attempt, Emitter, ErrorClass, Outcome, ProcessError, ProducerRecord};
use milena_middleware::{EmitLayer, RetryLayer, Stack};

use crate::bed::{Sink, call, class, incoming};

fn bill(value: &'static str) -> ProducerRecord {
    ProducerRecord::new("bills").value(value)
}

#[tokio::test]
async fn records_are_written_in_their_order_before_the_answer() {
    let sink = Sink::default();
    let stack = Stack::new()
        .layer(EmitLayer::new(sink.clone()))
        .handler(async |out: Emitter| {
            out.emit(bill("1"));
            out.emit(bill("2"));
        });
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
    assert_eq!(*sink.letters.lock(), [bill("1"), bill("2")]);
}

#[tokio::test(start_paused = true)]
async fn what_a_failed_attempt_made_is_dropped() {
    let sink = Sink::default();
    let stack = Stack::new()
        .layer(RetryLayer::fixed(Duration::from_secs(1)))
        .layer(EmitLayer::new(sink.clone()))
        .handler(async |out: Emitter, Attempt(attempt): Attempt| {
            out.emit(bill(if attempt == 1 { "early" } else { "late" }));
            if attempt == 1 {
                Err(ProcessError::transient("busy"))
            } else {
                Ok(())
            }
        });
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
    assert_eq!(*sink.letters.lock(), [bill("late")]);

    let giving_up =
        Stack::new()
            .layer(EmitLayer::new(sink.clone()))
            .handler(async |out: Emitter| {
                out.emit(bill("never"));
                Outcome::dead_letter("no")
            });
    assert_eq!(
        call(&giving_up, incoming(2)).await.unwrap().name(),
        "dead_letter"
    );
    assert_eq!(sink.letters.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_is_not_done_while_what_it_made_cannot_be_written() {
    let sink = Sink::failing(2);
    let emit = EmitLayer::new(sink.clone());
    let handler = async |out: Emitter| out.emit(bill("1"));
    let alone = Stack::new().layer(emit.clone()).handler(handler);
    assert_eq!(
        class(&call(&alone, incoming(1)).await),
        Some(ErrorClass::Timeout)
    );
    let stack = Stack::new()
        .layer(RetryLayer::fixed(Duration::from_secs(1)))
        .layer(emit)
        .handler(handler);
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
    assert_eq!(*sink.letters.lock(), [bill("1")]);
}
