//! Tests of extractors: the arguments that a handler receives, and the errors if a part is missing.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

use bytes::Bytes;
use milena_core::{
    Attempt, CancelToken, ConsumerRecord, Emitter, ErrorClass, Extension, FromRef, Handler, Header,
    HeaderName, Headers, Incoming, Key, Offset, Outcome, Parsed, Partition, ProcessError,
    ProducerRecord, State, Text, Timestamp, Topic, Value,
};

struct Tenant;

impl HeaderName for Tenant {
    const NAME: &'static str = "tenant";
    type Value = String;
}

struct Tries;

impl HeaderName for Tries {
    const NAME: &'static str = "tries";
    type Value = Parsed<u32>;
}

fn incoming() -> Incoming {
    let mut record = ConsumerRecord::new("orders", 3, 42);
    record.key = Some(Bytes::copy_from_slice(&7u64.to_be_bytes()));
    record.value = Some("two stamps".into());
    record.timestamp = Some(Timestamp::from_millis(1_000));
    record.headers.push("tenant", "acme");
    record.headers.push("tries", "12");
    Incoming::new(record)
}

async fn run<A, H: Handler<A>>(handler: H, incoming: Incoming) -> Result<Outcome, ProcessError> {
    handler.handle(incoming, &()).await
}

#[tokio::test]
async fn a_handler_takes_up_to_twelve_parts_of_its_record() {
    let mut incoming = incoming();
    incoming.extensions.insert(5u8);
    incoming.extensions.insert(Emitter::new());
    let handler = async |Key(key): Key<u64>,
                         Text(text): Text,
                         value: Bytes,
                         Header(tenant): Header<Tenant>,
                         Header(Parsed(tries)): Header<Tries>,
                         Topic(topic): Topic,
                         partition: Partition,
                         offset: Offset,
                         at: Timestamp,
                         Attempt(attempt): Attempt,
                         Extension(extension): Extension<u8>,
                         (cancel, emitter): (CancelToken, Emitter)| {
        assert_eq!(
            (key, text.as_str(), &value[..]),
            (7, "two stamps", &b"two stamps"[..])
        );
        assert_eq!((tenant.as_str(), tries), ("acme", 12));
        assert_eq!(
            (topic.as_str(), partition.index(), offset.to_wire()),
            ("orders", 3, 42)
        );
        assert_eq!((at.to_millis(), attempt, *extension), (1_000, 1, 5));
        assert!(!cancel.is_cancelled() && emitter.is_empty());
    };
    assert_eq!(run(handler, incoming).await.unwrap(), Outcome::Ack);
}

#[tokio::test]
async fn what_may_be_missing_is_asked_for_as_an_option() {
    let bare = || Incoming::new(ConsumerRecord::new("orders", 0, 0));
    let handler = async |key: Option<Key<String>>,
                         value: Option<Value>,
                         tenant: Option<Header<Tenant>>,
                         at: Option<Timestamp>,
                         text: Option<Text>| {
        assert!(key.is_none() && value.is_none() && tenant.is_none());
        assert!(at.is_none() && text.is_none());
    };
    assert_eq!(run(handler, bare()).await.unwrap(), Outcome::Ack);

    let mut null = bare();
    null.record.headers.push_null("tenant");
    let handler = async |tenant: Option<Header<Tenant>>| assert!(tenant.is_none());
    assert_eq!(run(handler, null).await.unwrap(), Outcome::Ack);
}

#[tokio::test]
async fn what_cannot_be_read_is_poison_and_names_part_place_and_cause() {
    let error = run(async |_: Key<i32>| (), incoming()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Poison);
    assert_eq!(
        error.chain(),
        "the key cannot be decoded as the type that the handler asks for \
         (topic orders, partition 3, offset 42): i32 has 4 bytes, not 8"
    );
    let mut wrong = incoming();
    wrong.record.headers.set("tries", "many");
    let error = run(async |_: Header<Tries>| (), wrong).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Poison);
    let text = error.chain();
    assert!(
        text.contains("header `tries`") && text.contains("invalid digit"),
        "{text}"
    );
}

#[tokio::test]
async fn a_missing_part_is_poison_and_is_named() {
    let mut bare = incoming();
    bare.record.headers = Headers::new();
    let error = run(async |_: Header<Tenant>| (), bare).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Poison);
    assert!(error.to_string().contains("no header `tenant`"), "{error}");
}

#[tokio::test]
async fn a_handler_that_asks_for_a_result_decides_for_itself() {
    let handler = async |key: Result<Key<i32>, ProcessError>| match key {
        Ok(_) => Outcome::Ack,
        Err(error) => Outcome::skip(error.class().name()),
    };
    assert_eq!(
        run(handler, incoming()).await.unwrap(),
        Outcome::skip("poison")
    );
}

#[tokio::test]
async fn a_part_of_the_state_can_be_asked_for_alone() {
    #[derive(Clone)]
    struct Currency(&'static str);
    struct Shop {
        currency: Currency,
    }
    impl FromRef<Shop> for Currency {
        fn from_ref(shop: &Shop) -> Self {
            shop.currency.clone()
        }
    }
    let shop = Shop {
        currency: Currency("EUR"),
    };
    let handler = async |State(currency): State<Currency>| Outcome::skip(currency.0);
    assert_eq!(
        handler.handle(incoming(), &shop).await.unwrap(),
        Outcome::skip("EUR")
    );
}

#[tokio::test]
async fn an_emitter_without_a_layer_is_a_fault_of_the_stack_and_not_of_the_record() {
    let error = run(async |_: Emitter| (), incoming()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Fatal);
    assert!(error.to_string().contains("EmitLayer"), "{error}");

    let emitter = Emitter::new();
    let mut with = incoming();
    with.extensions.insert(emitter.clone());
    let handler = async |out: Emitter| out.emit(ProducerRecord::new("bills").value("1"));
    assert_eq!(run(handler, with).await.unwrap(), Outcome::Ack);
    assert_eq!(emitter.take().len(), 1);
}
