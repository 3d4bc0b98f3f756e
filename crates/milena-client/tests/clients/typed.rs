//! Typed producers and consumers on the embedded broker.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena_broker::Broker;
use milena_client::middleware::{DeadLetterLayer, RetryLayer, Stack, TimeoutLayer};
use milena_client::serializer::{
    BigEndianCodec, ByContentType, Decoded, JsonCodec, MediaType, TextCodec, TypedRecord,
};
use milena_client::{Client, ConsumerBuilderExt, ProducerBuilderExt};
use milena_core::{Attempt, Backoff, ErrorKind, Offset, Outcome, ProcessError, ProducerRecord};

async fn start() -> (Broker, Client) {
    let topics = Broker::builder().topic("stock", 1).topic("dead", 1);
    let broker = topics.start().await.unwrap();
    let builder = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer());
    let client = builder.connect().await.unwrap();
    (broker, client)
}

#[tokio::test(start_paused = true)]
async fn what_a_typed_producer_sends_a_typed_consumer_reads() {
    let (_broker, client) = start().await;
    let producer = client
        .producer()
        .lz4()
        .key::<i64>(BigEndianCodec)
        .value::<Vec<u32>>(JsonCodec.with_content_type())
        .build()
        .unwrap();
    let stock = producer.topic("stock");
    stock.send(Some(&1), Some(&vec![3, 5])).await.unwrap();
    stock.send(Some(&2), None).await.unwrap();
    let record = TypedRecord::new("stock").key(3).value(vec![]);
    let sent = producer
        .send(record.header("source", "till"))
        .await
        .unwrap();
    assert_eq!(sent.offset, Some(Offset::from(2)));

    let consumer = client
        .consumer("counting")
        .topics(["stock"])
        .key::<i64>(BigEndianCodec)
        .value::<Option<Vec<u32>>>(ByContentType::new().form(JsonCodec))
        .build()
        .unwrap();
    let first = consumer.recv().await.unwrap();
    assert_eq!((first.key, first.value), (1, Some(vec![3, 5])));
    let tombstone = consumer.recv().await.unwrap();
    assert_eq!((tombstone.key, tombstone.value), (2, None));
    let last = consumer.recv().await.unwrap();
    assert_eq!(last.record.headers.text("source"), Some("till"));
    assert_eq!(
        last.record.headers.text("content-type"),
        Some("application/json")
    );
    consumer.commit().await.unwrap();
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_decoded_is_an_error_with_its_place_and_the_next_one_comes() {
    let (broker, client) = start().await;
    let raw = client.producer().build().unwrap();
    for value in ["[1]", "[1, \"two\"]", "[3]"] {
        let record = ProducerRecord::new("stock").key("k").value(value);
        raw.send(record).await.unwrap();
    }
    let consumer = client
        .consumer("counting")
        .topics(["stock"])
        .value::<Vec<u32>>(JsonCodec)
        .build()
        .unwrap();
    assert_eq!(consumer.recv().await.unwrap().value, [1]);
    let poison = consumer.receive().await.unwrap().unwrap_err();
    assert_eq!(poison.record.value.as_deref(), Some(&b"[1, \"two\"]"[..]));
    assert_eq!(poison.error.kind(), ErrorKind::Decode);
    let text = poison.error.to_string();
    for part in ["wrong at `[1]`", "topic stock", "partition 0", "offset 1"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(consumer.recv().await.unwrap().value, [3]);
    consumer.commit().await.unwrap();
    let committed = broker.inspect().committed("counting", "stock", 0);
    assert_eq!(committed, Some(Offset::from(3)));
}

#[tokio::test(start_paused = true)]
async fn a_typed_handler_stands_in_a_stack_and_poison_goes_to_the_dead_letters_untried() {
    let (broker, client) = start().await;
    let raw = client.producer().build().unwrap();
    for value in ["one", "two"] {
        let key = if value == "one" {
            &[7u8; 8][..]
        } else {
            &[7; 4]
        };
        let record = ProducerRecord::new("stock").key(key.to_vec()).value(value);
        raw.send(record).await.unwrap();
    }
    let consumer = client
        .consumer("counting")
        .topics(["stock"])
        .key::<i64>(BigEndianCodec)
        .value::<String>(TextCodec)
        .build()
        .unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let seeing = Arc::clone(&seen);
    let handler = move |record: Decoded<i64, String>| {
        seeing.lock().unwrap().push(record.value);
        async {}
    };
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", raw.clone()))
        .layer(RetryLayer::new(Backoff::default()))
        .handler(consumer.decoder().handler(handler));
    let stop = consumer.shutdown_handle();
    let inspect = broker.inspect();
    let end = async move {
        while inspect.end_offset("dead", 0) != Some(1) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.shutdown();
    };
    let (report, ()) = tokio::join!(consumer.consumer().run(stack), end);
    let report = report.unwrap();
    assert_eq!((report.processed, report.dead_lettered), (1, 1));
    assert_eq!(*seen.lock().unwrap(), ["one"]);
}

#[tokio::test(start_paused = true)]
async fn layers_are_put_around_the_handler_by_the_consumers_builder() {
    let (_broker, client) = start().await;
    let raw = client.producer().build().unwrap();
    raw.send(ProducerRecord::new("stock").value("ink"))
        .await
        .unwrap();
    let consumer = client
        .consumer("counting")
        .topics(["stock"])
        .layer(RetryLayer::new(Backoff::default()))
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .with_state(3u32)
        .build()
        .unwrap();
    let stop = consumer.shutdown_handle();
    let handler = move |Attempt(attempt): Attempt,
                        milena_core::State(wanted): milena_core::State<u32>| {
        let stop = stop.clone();
        async move {
            if attempt < wanted {
                return Err(ProcessError::transient("busy"));
            }
            stop.shutdown();
            Ok(Outcome::Ack)
        }
    };
    assert_eq!(consumer.run(handler).await.unwrap().processed, 1);

    let wrong = client
        .consumer("other")
        .topics(["stock"])
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .layer(RetryLayer::new(Backoff::default()))
        .build()
        .unwrap();
    let error = wrong.run(async || ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
