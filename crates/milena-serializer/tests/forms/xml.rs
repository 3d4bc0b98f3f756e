//! Tests that values survive XML, and that entity bombs, deep nesting and invalid XML are poison.

use bytes::Bytes;
use milena_core::{ConsumerRecord, ErrorClass, FromRecord, Incoming, ProcessError, ProducerRecord};
use milena_serializer::{Xml, XmlExt};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename = "order")]
struct Order {
    #[serde(rename = "@id")]
    id: u64,
    #[serde(default)]
    item: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    #[serde(rename = "@quantity")]
    quantity: u32,
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nested {
    child: Option<Box<Nested>>,
}

async fn read<T: FromRecord>(value: &str) -> Result<T, ProcessError> {
    let mut record = ConsumerRecord::new("orders", 3, 17);
    record.value = Some(Bytes::copy_from_slice(value.as_bytes()));
    T::from_record(&Incoming::new(record), &()).await
}

async fn refused<T: FromRecord>(value: &str) -> String {
    let Err(error) = read::<T>(value).await else {
        panic!("was read: {value}")
    };
    assert_eq!(error.class(), ErrorClass::Poison);
    error.chain().into_owned()
}

#[tokio::test]
async fn attributes_elements_and_namespaces_are_read() {
    let text = r#"<?xml version="1.0" encoding="UTF-8"?>
        <!-- the first of the day -->
        <b:order xmlns:b="urn:shop" id="7">
            <b:item quantity="2"><b:name>ink &lt;blue&gt; &#x2713;</b:name></b:item>
            <b:item quantity="1"><b:name><![CDATA[a <pen>]]></b:name></b:item>
        </b:order>"#;
    let Xml(order) = read::<Xml<Order>>(text).await.unwrap();
    assert_eq!(order.id, 7);
    assert_eq!(order.item[0].name, "ink <blue> ✓");
    assert_eq!(order.item[1].name, "a <pen>");
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_place_and_path() {
    let bad = r#"<order id="7"><item quantity="2"><name>ink</name></item><item quantity="two"><name>pen</name></item></order>"#;
    let text = refused::<Xml<Order>>(bad).await;
    for part in [
        "Order",
        "item[1].@quantity",
        "orders",
        "partition 3",
        "offset 17",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[tokio::test]
async fn entities_cannot_be_declared_and_so_nothing_expands() {
    let mut bomb = String::from("<?xml version=\"1.0\"?><!DOCTYPE order [<!ENTITY a0 \"ha\">");
    for n in 1..30 {
        let before = n - 1;
        bomb.push_str(&format!("<!ENTITY a{n} \"&a{before};&a{before};\">"));
    }
    bomb.push_str("]><order id=\"1\"><item quantity=\"1\"><name>&a29;</name></item></order>");
    let text = refused::<Xml<Order>>(&bomb).await;
    assert!(
        text.contains("document type declarations are refused"),
        "{text}"
    );
    let file = "<!DOCTYPE order [<!ENTITY x SYSTEM \"file:///etc/hostname\">]><order id=\"1\"/>";
    refused::<Xml<Order>>(file).await;
    let unknown = r#"<order id="1"><item quantity="1"><name>&secret;</name></item></order>"#;
    let text = refused::<Xml<Order>>(unknown).await;
    assert!(text.contains("secret"), "{text}");
}

#[tokio::test]
async fn elements_nested_too_deep_are_poison_and_exhaust_no_stack() {
    let nested = |depth: usize| {
        let (open, close) = ("<child>".repeat(depth), "</child>".repeat(depth));
        format!("<nested>{open}{close}</nested>")
    };
    read::<Xml<Nested>>(&nested(50)).await.unwrap();
    let text = refused::<Xml<Nested>>(&nested(200_000)).await;
    assert!(text.contains("128"), "{text}");
    // Elements that no field reads may be nested to any depth.
    let ignored = format!("<order id=\"1\">{}</order>", nested(200_000));
    read::<Xml<Order>>(&ignored).await.unwrap();
}

#[tokio::test]
async fn nonsense_is_poison() {
    for bad in [
        "",
        "   ",
        "order",
        "<order",
        "<order id=\"1\">",
        "<order id=\"1\"></other>",
        "<order id=\"1\"/><order id=\"2\"/>",
        "<order id=\"1\"/> and more",
        "<order/>",
        "<order id=\"1\" id=\"2\"/>",
    ] {
        refused::<Xml<Order>>(bad).await;
    }
    let mut record = ConsumerRecord::new("orders", 0, 0);
    record.value = Some(Bytes::from_static(b"<order id=\"1\">\xff</order>"));
    let read = Xml::<Order>::from_record(&Incoming::new(record), &()).await;
    assert_eq!(read.unwrap_err().class(), ErrorClass::Poison);
}

#[tokio::test]
async fn a_tombstone_is_none() {
    let incoming = Incoming::new(ConsumerRecord::new("orders", 0, 0));
    let Xml(none) = Xml::<Option<Order>>::from_record(&incoming, &())
        .await
        .unwrap();
    assert_eq!(none, None);
    let record = ProducerRecord::new("orders").xml(&None::<Order>).unwrap();
    assert_eq!(record.record.value, None);
}

proptest! {
    #[test]
    fn every_order_comes_back(
        id in any::<u64>(),
        items in proptest::collection::vec((any::<u32>(), "[a-zA-Z<>&'\"åß][ -~åß]{0,20}[a-z<>&'\"]"), 0..5),
    ) {
        let item = items.into_iter().map(|(quantity, name)| Item { quantity, name }).collect();
        let order = Order { id, item };
        let record = ProducerRecord::new("orders").xml(&order).unwrap();
        let text = String::from_utf8(record.record.value.unwrap().to_vec()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let Xml(back) = runtime.block_on(read::<Xml<Order>>(&text)).unwrap();
        prop_assert_eq!(back, order);
    }
}

#[tokio::test]
async fn an_empty_value_is_no_document_and_no_tombstone() {
    for empty in ["", " \n", "\u{feff}"] {
        let told = refused::<Xml<Option<Order>>>(empty).await;
        assert!(told.contains("is empty"), "{told}");
    }
    let mut record = ConsumerRecord::new("orders", 3, 17);
    record.value = None;
    let Xml(none) = Xml::<Option<Order>>::from_record(&Incoming::new(record), &())
        .await
        .unwrap();
    assert_eq!(none, None);
}

#[tokio::test]
async fn a_document_that_declares_another_encoding_is_refused_and_told() {
    for encoding in ["ISO-8859-1", "UTF-16"] {
        let text = format!(r#"<?xml version="1.0" encoding="{encoding}"?><order id="7"/>"#);
        let told = refused::<Xml<Order>>(&text).await;
        assert!(told.contains(encoding), "{told}");
        let mut record = ConsumerRecord::new("orders", 3, 17);
        let bytes = [text.as_bytes(), b"<name>caf\xe9</name>"].concat();
        record.value = Some(bytes.into());
        let read = Xml::<Order>::from_record(&Incoming::new(record), &()).await;
        let told = read.unwrap_err().chain().into_owned();
        assert!(told.contains(encoding), "{told}");
    }
    for encoding in ["utf-8", "US-ASCII"] {
        let text = format!("\u{feff}<?xml version='1.0' encoding = '{encoding}'?><order id='7'/>");
        assert_eq!(read::<Xml<Order>>(&text).await.unwrap().0.id, 7);
    }
}

#[tokio::test]
async fn the_elements_of_a_list_may_lie_apart_within_a_measure() {
    let item = |n: usize| format!(r#"<item quantity="{n}"><name>ink</name></item>"#);
    let apart = |between: usize| {
        let notes = "<note/>".repeat(between);
        format!(r#"<order id="7">{}{notes}{}</order>"#, item(1), item(2))
    };
    let Xml(order) = read::<Xml<Order>>(&apart(3)).await.unwrap();
    let quantities: Vec<_> = order.item.iter().map(|item| item.quantity).collect();
    assert_eq!(quantities, [1, 2]);
    refused::<Xml<Order>>(&apart(20_000)).await;
}
