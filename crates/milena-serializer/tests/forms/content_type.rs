//! Tests that the content type is written on request, and that a reader selects its codec by it.

use bytes::Bytes;
use milena_core::{ErrorKind, Headers, Result};
use milena_serializer::{
    ByContentType, CONTENT_TYPE, Deserializer, JsonCodec, MediaType, Place, Serializer, TextCodec,
    WithContentType, XmlCodec,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
}

fn codec() -> ByContentType<Order> {
    ByContentType::new().form(JsonCodec).form(XmlCodec)
}

fn read(
    codec: &ByContentType<Order>,
    content_type: Option<&'static str>,
    text: &'static str,
) -> Result<Order> {
    let mut headers = Headers::new();
    if let Some(name) = content_type {
        headers.push(CONTENT_TYPE, name);
    }
    let bytes = Bytes::from_static(text.as_bytes());
    codec.deserialize(Place::value(&"orders".into(), &headers), Some(&bytes))
}

#[test]
fn each_form_is_read_by_its_name() {
    let (json, xml) = (r#"{"id":7}"#, "<Order><id>7</id></Order>");
    for (name, text) in [
        ("application/json", json),
        ("Application/JSON; charset=utf-8", json),
        ("application/vnd.shop.order+json", json),
        ("application/xml", xml),
    ] {
        assert_eq!(
            read(&codec(), Some(name), text).unwrap(),
            Order { id: 7 },
            "{name}"
        );
    }
}

#[test]
fn a_name_without_a_codec_and_a_missing_one_are_errors_that_name_what_there_is() {
    for name in [Some("application/avro"), None] {
        let error = read(&codec(), name, "{}").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        let text = error.to_string();
        assert!(text.contains("application/json, application/xml"), "{text}");
    }
    let long: &str = "x".repeat(1_000_000).leak();
    let text = read(&codec(), Some(long), "{}").unwrap_err().to_string();
    assert!(text.len() < 300, "{} bytes", text.len());
    let lenient = codec().otherwise(JsonCodec);
    assert_eq!(
        read(&lenient, None, r#"{"id":7}"#).unwrap(),
        Order { id: 7 }
    );
    assert!(read(&lenient, Some("application/avro"), r#"{"id":7}"#).is_err());
}

#[test]
fn the_name_is_written_once_and_not_for_a_tombstone() {
    let mut headers = Headers::from_iter([(CONTENT_TYPE, "text/html")]);
    let codec = JsonCodec.with_content_type();
    codec
        .serialize(&"orders".into(), &mut headers, &Order { id: 7 })
        .unwrap();
    assert_eq!(headers.len(), 1);
    assert_eq!(headers.text(CONTENT_TYPE), Some("application/json"));

    let mut none = Headers::new();
    codec
        .serialize(&"orders".into(), &mut none, &None::<Order>)
        .unwrap();
    assert!(none.is_empty());

    let own = WithContentType::new(TextCodec, "text/csv");
    own.serialize(&"orders".into(), &mut none, "a,b").unwrap();
    assert_eq!(none.text(CONTENT_TYPE), Some("text/csv"));
}
