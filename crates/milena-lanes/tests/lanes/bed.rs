//! Rules, records and notes for the tests of lanes.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Event, Observers, Order, ProducerRecord, Timestamp};
use milena_lanes::{InMemory, Rules};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Notes that handlers and observers make, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(crate) fn add(&self, note: impl Into<String>) {
        self.0.lock().push(note.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

/// Returns rules with waits of exactly 100 ms and a wall clock that follows the paused one.
pub(crate) fn rules(order: Order) -> Rules {
    let began = Instant::now();
    let mut rules = Rules::default();
    rules.order = order;
    let wait = Duration::from_millis(100);
    rules.retry_backoff = Backoff::new(wait, wait).jitter(0.0);
    rules.clock = Arc::new(move || Timestamp::from_millis(0).plus(began.elapsed()));
    rules
}

/// Adds an observer that notes pauses, stops and reports.
pub(crate) fn observed(mut rules: Rules, notes: &Notes) -> Rules {
    let notes = notes.clone();
    let note = move |event: &Event<'_>| match event {
        Event::Paused { by, reason, .. } => notes.add(format!("paused by {by}: {reason}")),
        Event::Resumed { .. } => notes.add("resumed"),
        Event::LaneStopped { route, reason, .. } => {
            notes.add(format!("stopped in {route}: {reason}"));
        }
        Event::HandlerStuck { offset, .. } => notes.add(format!("stuck at {offset}")),
        Event::GateClosed { gate, .. } => notes.add(format!("closed {gate}")),
        Event::GateOpened { gate, .. } => notes.add(format!("opened {gate}")),
        _ => {}
    };
    rules.observers = Observers::none().with(Arc::new(note));
    rules
}

/// Returns a source of records with these values, all in one partition of `orders`.
pub(crate) fn orders<'a>(rules: Rules, values: impl IntoIterator<Item = &'a str>) -> InMemory {
    let record = |value: &str| ProducerRecord::new("orders").value(value.to_owned());
    InMemory::new(rules).with(values.into_iter().map(record))
}

/// Returns a source of records with these keys and values, all in one partition of `orders`.
pub(crate) fn keyed<'a>(
    rules: Rules,
    records: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> InMemory {
    let record = |(key, value): (&str, &str)| {
        ProducerRecord::new("orders")
            .key(key.to_owned())
            .value(value.to_owned())
    };
    InMemory::new(rules).with(records.into_iter().map(record))
}
