//! The cost of a codec compared with its library. Writes and reads the same orders with `JsonCodec`
//! and with `serde_json` alone, in turns.
#![allow(
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that goes wrong"
)]

use std::future::Future;
use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use milena::core::{Routes, TopicName};
use milena::middleware::Stack;
use milena::serializer::{Deserializer, Json, JsonCodec, Place, Serializer};
use milena::{ConsumerRecord, Headers, Incoming, ProcessError};
use serde::{Deserialize, Serialize};
use tower::Service;

/// The turns of each side. Their median is printed.
const TURNS: usize = 31;
const CALLS: u32 = 20_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    note: Option<String>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    product: String,
    quantity: u32,
    cents: i64,
}

fn order(lines: usize) -> Order {
    let line = |at: usize| Line {
        product: format!("product-{at:04}"),
        quantity: at as u32 % 7 + 1,
        cents: at as i64 * 1_999,
    };
    Order {
        id: 4_711,
        customer: "customer-000017".to_owned(),
        note: Some("leave it \"at the door\"".to_owned()),
        lines: (0..lines).map(line).collect(),
    }
}

fn main() {
    for lines in [1, 18] {
        let order = order(lines);
        let bytes = Bytes::from(serde_json::to_vec(&order).unwrap());
        println!("an order of {} bytes", bytes.len());
        write(&order);
        read(&bytes);
        handle(&bytes);
    }
}

fn write(order: &Order) {
    let (topic, mut headers) = (TopicName::from("orders"), Headers::new());
    compare(
        "written",
        || {
            let bytes = serde_json::to_vec(black_box(order)).unwrap();
            drop(black_box(Bytes::from(bytes)));
        },
        || {
            let written = JsonCodec.serialize(&topic, &mut headers, black_box(order));
            drop(black_box(written));
        },
    );
}

fn read(bytes: &Bytes) {
    let (topic, headers) = (TopicName::from("orders"), Headers::new());
    compare(
        "read",
        || {
            let read = serde_json::from_slice::<Order>(black_box(bytes));
            drop(black_box(read.unwrap()));
        },
        || {
            let place = Place::value(&topic, &headers);
            let read: milena::Result<Order> = JsonCodec.deserialize(place, Some(black_box(bytes)));
            drop(black_box(read.unwrap()));
        },
    );
}

/// Compares a handler that takes an order with one that takes the record and reads the order
/// itself.
fn handle(bytes: &Bytes) {
    let mut record = ConsumerRecord::new("orders", 0, 7);
    record.value = Some(bytes.clone());
    let incoming = Incoming::new(record);
    let bare = async |record: ConsumerRecord| {
        let value = record.value.unwrap_or_default();
        let order: Order = serde_json::from_slice(&value).map_err(ProcessError::poison)?;
        drop(black_box(order));
        Ok::<_, ProcessError>(())
    };
    let typed = async |Json(order): Json<Order>| drop(black_box(order));
    let mut bare = Stack::new().handler(bare).service(0);
    let mut typed = Stack::new().handler(typed).service(0);
    compare(
        "handled",
        || now(bare.call(black_box(&incoming).clone())),
        || now(typed.call(black_box(&incoming).clone())),
    );
}

/// Polls a future that is ready at once.
fn now<T>(future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(black_box(future.as_mut().poll(&mut context)).is_ready());
}

/// Runs both sides in turns, and prints the results with the cost of the second one.
fn compare(what: &str, mut bare: impl FnMut(), mut typed: impl FnMut()) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        let sides: [&mut dyn FnMut(); 2] = [&mut bare, &mut typed];
        for (times, call) in times.iter_mut().zip(sides) {
            let began = Instant::now();
            for _ in 0..CALLS {
                call();
            }
            times.push(began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
        }
    }
    let [bare, typed] = times.map(|mut all| {
        all.sort_by(f64::total_cmp);
        let at = |at: usize| all.get(at).copied().unwrap_or_default();
        (at(TURNS / 2), at(0), at(TURNS - 1))
    });
    println!(
        "  {what}: serde_json {:.0} ({:.0}-{:.0}) ns, the codec {:.0} ({:.0}-{:.0}) ns, {:+.1} %",
        bare.0,
        bare.1,
        bare.2,
        typed.0,
        typed.1,
        typed.2,
        (typed.0 / bare.0 - 1.0) * 100.0
    );
}
