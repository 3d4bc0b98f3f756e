//! What the JSON codec and its extractor cost over bare `serde_json`: `cargo bench -p milena-serializer --bench json`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion writes the entry point; a bench may stop"
)]

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use milena_core::{ConsumerRecord, FromRecord, Headers, Incoming};
use milena_serializer::{Deserializer, Json, JsonCodec, Place, Serializer};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    express: bool,
    items: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    name: String,
    quantity: u32,
    cents: u64,
}

fn order() -> Order {
    let item = |n: u32| Item {
        name: format!("a thing of kind {n}"),
        quantity: n,
        cents: u64::from(n) * 1999,
    };
    Order {
        id: 4_711,
        customer: "customer-7".to_owned(),
        express: true,
        items: (1..4).map(item).collect(),
    }
}

fn decode(c: &mut Criterion) {
    let bytes = Bytes::from(serde_json::to_vec(&order()).unwrap());
    let (topic, headers) = ("orders".into(), Headers::new());
    let mut record = ConsumerRecord::new("orders", 0, 7);
    record.value = Some(bytes.clone());
    let incoming = Incoming::new(record);
    let mut group = c.benchmark_group("decode");
    group.bench_function("serde_json", |b| {
        b.iter(|| serde_json::from_slice::<Order>(black_box(&bytes)).unwrap());
    });
    group.bench_function("JsonCodec", |b| {
        b.iter(|| -> Order {
            let place = Place::value(&topic, &headers);
            JsonCodec
                .deserialize(place, Some(black_box(&bytes)))
                .unwrap()
        });
    });
    group.bench_function("Json extractor", |b| {
        let mut cx = Context::from_waker(Waker::noop());
        b.iter(|| {
            let extracting = pin!(Json::<Order>::from_record(black_box(&incoming), &()));
            match extracting.poll(&mut cx) {
                Poll::Ready(order) => order.unwrap(),
                Poll::Pending => unreachable!("it waits for nothing"),
            }
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let order = order();
    let topic = "orders".into();
    let mut group = c.benchmark_group("encode");
    group.bench_function("serde_json", |b| {
        b.iter(|| serde_json::to_vec(black_box(&order)).unwrap());
    });
    group.bench_function("JsonCodec", |b| {
        let mut headers = Headers::new();
        b.iter(|| JsonCodec.serialize(&topic, &mut headers, black_box(&order)));
    });
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
