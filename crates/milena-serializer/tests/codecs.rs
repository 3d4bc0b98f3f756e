//! Values go out and come back; what cannot be read is poison that names its place.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::collections::HashMap;

use bytes::Bytes;
use milena_core::{
    ConsumerRecord, ErrorClass, ErrorKind, FromRecord, Headers, Incoming, ProcessError,
    ProducerRecord,
};
use milena_serializer::{BytesCodec, Deserializer, Json, JsonExt, Place, Serializer, TextCodec};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
    quantity: u32,
}

async fn read<T: FromRecord>(value: Option<&str>) -> Result<T, ProcessError> {
    let mut record = ConsumerRecord::new("orders", 3, 17);
    record.value = value.map(|text| Bytes::copy_from_slice(text.as_bytes()));
    T::from_record(&Incoming::new(record), &()).await
}

#[tokio::test]
async fn json_comes_back_as_it_was() {
    let item = Item {
        name: "ink \"blue\" ü".to_owned(),
        quantity: 3,
    };
    let order = Order {
        id: u64::MAX,
        items: vec![item],
    };
    let record = ProducerRecord::new("orders").json(&order).unwrap();
    let text = String::from_utf8(record.record.value.unwrap().to_vec()).unwrap();
    assert_eq!(read::<Json<Order>>(Some(&text)).await.unwrap(), Json(order));
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_place_and_path() {
    let bad = r#"{"id": 1, "items": [{"name": "ink", "quantity": 1}, {"name": "pen", "quantity": "two"}]}"#;
    let error = read::<Json<Order>>(Some(bad)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Poison);
    let text = error.chain();
    for part in [
        "Order",
        "items[1].quantity",
        "expected u32",
        "orders",
        "partition 3",
        "offset 17",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    for broken in [
        "",
        "{\"id\": tw",
        "{\"id\": 1, \"items\": []} and more",
        "[]",
    ] {
        let error = read::<Json<Order>>(Some(broken)).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Poison, "{broken}");
    }
}

#[tokio::test]
async fn a_tombstone_is_none_where_the_type_allows_it() {
    assert_eq!(read::<Json<Option<u8>>>(None).await.unwrap(), Json(None));
    let error = read::<Json<Order>>(None).await.unwrap_err();
    assert!(error.to_string().contains("no value"), "{error}");
}

#[test]
fn a_value_that_json_cannot_hold_is_refused_by_its_type() {
    let map = HashMap::from([(vec![1u8], 1u8)]);
    let error = ProducerRecord::new("orders").json(&map).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains("HashMap") && error.to_string().contains("orders"),
        "{error}"
    );
}

#[test]
fn text_and_bytes_stay_as_they_are() {
    let (topic, mut headers) = ("orders".into(), Headers::new());
    let bytes = TextCodec.serialize(&topic, &mut headers, "blåbær").unwrap();
    let place = Place::new(&topic, &headers);
    let text: String = TextCodec.deserialize(place, Some(&bytes)).unwrap();
    assert_eq!(text, "blåbær");
    let same: Bytes = BytesCodec.deserialize(place, Some(&bytes)).unwrap();
    assert_eq!(same, bytes);
    let none: Option<Bytes> = BytesCodec.deserialize(place, None).unwrap();
    assert_eq!(none, None);
    let bad = Bytes::from_static(&[0xff]);
    let error = Deserializer::<String>::deserialize(&TextCodec, place, Some(&bad)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
}
