//! Records are produced and come back as they were.

use std::collections::HashMap;

use milena::{Compression, Offset, ProducerRecord, Timestamp};

use crate::cluster::{DEADLINE, World, within};

#[tokio::test]
async fn a_record_comes_back_as_it_was_sent() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    let producer = world.client.producer().build().unwrap();
    let mut sent = ProducerRecord::new(&topic)
        .key("k")
        .value("v")
        .header("a", "1")
        .header("a", "2")
        .timestamp(Timestamp::from_millis(1_700_000_000_123));
    sent.record.headers.push_null("none");
    let metadata = within(producer.send(sent.clone())).await.unwrap();
    assert_eq!(
        (metadata.offset, metadata.partition.index()),
        (Some(Offset::ZERO), 0)
    );
    let tombstone = within(producer.send(ProducerRecord::new(&topic).key("k")))
        .await
        .unwrap();
    assert_eq!(tombstone.offset, Some(1.into()));

    let read = world.read(&topic, 2).await;
    assert_eq!(read[0].clone().into_record(), sent.record);
    assert_eq!(
        (read[1].key.as_deref(), read[1].value.as_deref()),
        (Some(&b"k"[..]), None)
    );
    within(producer.close(DEADLINE)).await.unwrap();
}

#[tokio::test]
async fn records_of_one_key_go_to_one_partition_in_order() {
    let world = World::new().await;
    let topic = world.topic(4).await;
    let producer = world.client.producer().build().unwrap();
    let records = (0..1_000u32).map(|n| {
        ProducerRecord::new(&topic)
            .key(format!("key-{}", n % 17))
            .value(n.to_string())
    });
    for result in within(producer.send_all(records)).await {
        result.unwrap();
    }
    let mut last: HashMap<Vec<u8>, (usize, u32)> = HashMap::new();
    for record in world.read(&topic, 1_000).await {
        let n: u32 = std::str::from_utf8(record.value.as_deref().unwrap())
            .unwrap()
            .parse()
            .unwrap();
        let key = record.key.as_deref().unwrap().to_vec();
        if let Some((partition, before)) = last.insert(key, (record.partition.index(), n)) {
            assert_eq!(
                partition,
                record.partition.index(),
                "one key, one partition"
            );
            assert!(before < n, "record {n} came after {before}");
        }
    }
    assert_eq!(last.len(), 17);
}

#[tokio::test]
async fn every_codec_comes_back() {
    let world = World::new().await;
    let codecs = [
        Compression::None,
        Compression::GZIP,
        Compression::Snappy,
        Compression::LZ4,
        Compression::ZSTD,
    ];
    for codec in codecs {
        let topic = world.topic(1).await;
        let producer = world.client.producer().compression(codec).build().unwrap();
        let value =
            |n: usize| format!("a value that compresses well, number {n} of them").repeat(4);
        let records = (0..300).map(|n| ProducerRecord::new(&topic).key("k").value(value(n)));
        for result in within(producer.send_all(records)).await {
            result.unwrap();
        }
        let read = world.read(&topic, 300).await;
        for (n, record) in read.iter().enumerate() {
            assert_eq!(
                record.value.as_deref(),
                Some(value(n).as_bytes()),
                "{codec:?}"
            );
        }
    }
}

#[tokio::test]
async fn close_delivers_what_was_enqueued() {
    let world = World::new().await;
    let topic = world.topic(2).await;
    let producer = world.client.producer().build().unwrap();
    let mut deliveries = Vec::new();
    for n in 0..500u32 {
        deliveries.push(
            within(producer.enqueue(ProducerRecord::new(&topic).value(n.to_string())))
                .await
                .unwrap(),
        );
    }
    within(producer.close(DEADLINE)).await.unwrap();
    for delivery in deliveries {
        within(delivery).await.unwrap();
    }
    assert_eq!(world.read(&topic, 500).await.len(), 500);
    let refused = within(producer.send(ProducerRecord::new(&topic).value("late")))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), milena::ErrorKind::Closed);
}
