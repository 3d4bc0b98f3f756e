//! Tests that values survive encoding and decoding, and that undecodable records are poison.

use std::collections::HashMap;

use bytes::Bytes;
use milena_core::{
    ConsumerRecord, ErrorClass, ErrorKind, FromRecord, Headers, Incoming, ProcessError,
    ProducerRecord, Result,
};
use milena_serializer::{
    BigEndianCodec, BytesCodec, Deserializer, Json, JsonCodec, JsonExt, KeyAs, Place, Serializer,
    TextCodec, ValueAs,
};
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

fn write<T: ?Sized>(codec: &impl Serializer<T>, value: &T) -> Option<Bytes> {
    codec
        .serialize(&"orders".into(), &mut Headers::new(), value)
        .unwrap()
}

fn decode<T>(codec: &impl Deserializer<T>, bytes: Option<&Bytes>) -> Result<T> {
    codec.deserialize(Place::value(&"orders".into(), &Headers::new()), bytes)
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
async fn json_that_is_nested_too_deep_is_poison_and_exhausts_no_stack() {
    let deep = "[".repeat(1_000_000);
    let error = read::<Json<serde_json_like::Any>>(Some(&deep))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Poison);
    assert!(error.chain().contains("recursion limit"), "{error}");
    let allowed = format!("{}{}", "[".repeat(100), "]".repeat(100));
    read::<Json<serde_json_like::Any>>(Some(&allowed))
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_sender_wrote_is_quoted_in_part_only() {
    let long = format!(r#"{{"id":"{}","items":[]}}"#, "ü".repeat(1_000_000));
    let error = read::<Json<Order>>(Some(&long)).await.unwrap_err();
    let text = error.chain().into_owned();
    assert!(text.len() < 1_000, "{} bytes", text.len());
    for part in [
        "wrong at `id`",
        "invalid type: string",
        "expected u64",
        "line 1 column",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// A type that may be nested without limit.
mod serde_json_like {
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    pub(crate) struct Any(#[allow(dead_code, reason = "it is nested, that is all")] Vec<Any>);
}

#[tokio::test]
async fn a_tombstone_is_none_where_the_type_allows_it() {
    assert_eq!(read::<Json<Option<u8>>>(None).await.unwrap(), Json(None));
    let error = read::<Json<Order>>(None).await.unwrap_err();
    assert!(error.to_string().contains("no value"), "{error}");
}

#[test]
fn none_is_sent_as_a_tombstone_by_every_codec() {
    assert_eq!(write(&JsonCodec, &None::<Order>), None);
    assert_eq!(write(&TextCodec, &None::<String>), None);
    assert_eq!(write(&BytesCodec, &None::<Bytes>), None);
    assert_eq!(write(&BigEndianCodec, &None::<i64>), None);
    assert_eq!(write(&JsonCodec, &Some(7)).as_deref(), Some(&b"7"[..]));
    assert_eq!(decode::<Option<i64>>(&BigEndianCodec, None).unwrap(), None);
    assert_eq!(decode::<Option<String>>(&TextCodec, None).unwrap(), None);
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
    let bytes = write(&TextCodec, "blåbær");
    assert_eq!(
        decode::<String>(&TextCodec, bytes.as_ref()).unwrap(),
        "blåbær"
    );
    assert_eq!(decode::<Bytes>(&BytesCodec, bytes.as_ref()).ok(), bytes);
    assert_eq!(decode::<Option<Bytes>>(&BytesCodec, None).unwrap(), None);
    let bad = Bytes::from_static(&[0xff]);
    let error = decode::<String>(&TextCodec, Some(&bad)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
}

#[tokio::test]
async fn a_handler_takes_key_and_value_by_codecs() {
    let mut record = ConsumerRecord::new("orders", 3, 17);
    record.key = Some(Bytes::from_static(&[0, 0, 0, 7]));
    let incoming = Incoming::new(record);
    let KeyAs(key, _) = KeyAs::<i32, BigEndianCodec>::from_record(&incoming, &())
        .await
        .unwrap();
    assert_eq!(key, 7);
    let error = KeyAs::<i64, BigEndianCodec>::from_record(&incoming, &())
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Poison);
    let text = error.to_string();
    for part in [
        "the key is not a valid i64",
        "4 bytes",
        "8 are expected",
        "offset 17",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let missing = ValueAs::<String, TextCodec>::from_record(&incoming, &()).await;
    assert!(missing.unwrap_err().to_string().contains("no value"));
}

#[test]
fn what_others_put_before_json_is_told() {
    let order = br#"{"id":7,"items":[]}"#;
    for (before, told) in [
        (&b"\xef\xbb\xbf"[..], "byte order mark"),
        (b"\0\0\0\x01\x02", "schema 258"),
        (b"\xff\xfe", "UTF-16"),
    ] {
        let bytes = Bytes::from([before, order].concat());
        let error = decode::<Order>(&JsonCodec, Some(&bytes)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.to_string().contains(told), "{error}");
    }
}
