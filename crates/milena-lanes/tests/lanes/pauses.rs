//! Pauses of feeds by gates, and by a window that is full.

use std::time::Duration;

use milena_core::{Gate, Order, ProducerRecord, Text};
use milena_lanes::{InMemory, run};
use milena_middleware::{HoldLayer, Stack};
use tokio::time::sleep;

use crate::bed::{Notes, observed, rules};

#[tokio::test(start_paused = true)]
async fn a_closed_gate_pauses_the_feeds_of_its_route_and_an_open_one_resumes_them() {
    let notes = Notes::default();
    let gate = Gate::new("maintenance");
    let switch = gate.clone();
    let source = InMemory::new(observed(rules(Order::Partition), &notes));
    let sender = source.sender();
    let writer = notes.clone();
    let stack = Stack::new()
        .layer(HoldLayer::new(gate))
        .handler(move |Text(text): Text| {
            writer.add(text);
            async {}
        });
    let operator = async {
        sender
            .send(ProducerRecord::new("orders").value("one"))
            .await;
        sleep(Duration::from_secs(1)).await;
        switch.close("until noon");
        sleep(Duration::from_secs(1)).await;
        sender
            .send(ProducerRecord::new("orders").value("two"))
            .await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(&*source.pauses()[0].by, "maintenance");
        switch.open();
        drop(sender);
    };
    let (report, ()) = tokio::join!(run(&source, stack), operator);
    assert_eq!(report.unwrap().processed, 2);
    let mut notes = notes.all();
    let last = notes.pop();
    assert_eq!(last.as_deref(), Some("two"));
    notes.sort();
    let expected = [
        "closed maintenance",
        "one",
        "opened maintenance",
        "paused by maintenance: until noon",
        "resumed",
    ];
    assert_eq!(notes, expected);
}
