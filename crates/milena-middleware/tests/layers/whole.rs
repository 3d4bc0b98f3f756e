//! Each record ends in exactly one way for any behavior of the handler, and none is lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Attempt, Backoff, Offset, Outcome, ProcessError};
use milena_middleware::{
    CircuitBreakerLayer, DeadLetterLayer, LogLayer, RecoveryLayer, RetryLayer, Stack, TimeoutLayer,
};
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::bed::{Sink, call, incoming};

/// The behavior of a handler in one attempt.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Done,
    Skip,
    Again,
    GiveUp,
    Transient,
    Down,
    Poison,
    Panic,
    Hang,
}

fn deed() -> impl Strategy<Value = Deed> {
    use Deed::{Again, Done, Down, GiveUp, Hang, Panic, Poison, Skip, Transient};
    prop_oneof![
        4 => Just(Done), 1 => Just(Skip), 1 => Just(Again), 1 => Just(GiveUp), 3 => Just(Transient),
        3 => Just(Down), 1 => Just(Poison), 1 => Just(Panic), 1 => Just(Hang),
    ]
}

async fn act(deed: Deed) -> Result<Outcome, ProcessError> {
    match deed {
        Deed::Done => Ok(Outcome::Ack),
        Deed::Skip => Ok(Outcome::skip("old")),
        Deed::Again => Ok(Outcome::retry("not yet")),
        Deed::GiveUp => Ok(Outcome::dead_letter("never")),
        Deed::Transient => Err(ProcessError::transient("busy")),
        Deed::Down => Err(ProcessError::dependency("payments", "refused")),
        Deed::Poison => Err(ProcessError::poison("no order")),
        Deed::Panic => panic!("by chance"),
        Deed::Hang => std::future::pending().await,
    }
}

/// Returns the end that follows from the behavior in each attempt of a record.
fn expected(deeds: &[Deed]) -> &'static str {
    for deed in deeds {
        match deed {
            Deed::Done => return "ack",
            Deed::Skip => return "skip",
            Deed::GiveUp | Deed::Poison => return "dead_lettered",
            _ => {}
        }
    }
    "dead_lettered"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_record_ends_once_and_as_its_deeds_say(
        records in vec(vec(deed(), ATTEMPTS), 1..30),
        failures in 0usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let sink = Sink::failing(failures);
            let calls = Arc::new(Mutex::new(HashMap::new()));
            let (deeds, counted) = (Arc::new(records.clone()), Arc::clone(&calls));
            let stack = Stack::new()
                .layer(LogLayer::new())
                .layer(DeadLetterLayer::new("dead", sink.clone()))
                .layer(RetryLayer::new(Backoff::default()).max_attempts(u32::try_from(ATTEMPTS).unwrap()))
                .layer(CircuitBreakerLayer::new("payments").consecutive(2).open_for(Duration::from_secs(1)))
                .layer(TimeoutLayer::new(Duration::from_secs(1)))
                .layer(RecoveryLayer::new())
                .handler(move |offset: Offset, Attempt(attempt): Attempt| {
                    let (deeds, counted) = (Arc::clone(&deeds), Arc::clone(&counted));
                    async move {
                        let offset = usize::try_from(offset.to_wire()).unwrap();
                        *counted.lock().entry(offset).or_insert(0) += 1;
                        // Attempts that an open breaker does not count can go beyond the last
                        // planned one.
                        let deed = deeds[offset].get(attempt as usize - 1);
                        act(deed.copied().unwrap_or(Deed::Transient)).await
                    }
                });
            let mut letters = 0;
            for (offset, deeds) in records.iter().enumerate() {
                let answer = call(&stack, incoming(u32::try_from(offset).unwrap())).await;
                let outcome = answer.expect("no error is left over");
                assert_eq!(outcome.name(), expected(deeds), "{deeds:?}");
                letters += usize::from(outcome.name() == "dead_lettered");
                assert_eq!(sink.letters.lock().len(), letters, "written before it is done");
                let down = deeds.iter().filter(|deed| matches!(deed, Deed::Down));
                assert!(calls.lock()[&offset] <= ATTEMPTS + down.count());
            }
        });
    }
}

const ATTEMPTS: usize = 4;
