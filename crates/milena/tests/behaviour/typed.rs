//! Typed records go out and come back.

use milena::serializer::{BigEndianCodec, Decoder};
use milena::{JsonCodec, ProducerBuilderExt};

use crate::cluster::{World, within};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_typed_is_read_typed() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    let builder = world.client.producer().lz4();
    let builder = builder.key::<i64>(BigEndianCodec);
    let producer = builder.value::<Vec<u32>>(JsonCodec).build().unwrap();
    let counts = producer.topic(&topic);
    within(counts.send(Some(&-7), Some(&vec![3, 5])))
        .await
        .unwrap();
    within(counts.send(Some(&i64::MAX), None)).await.unwrap();
    let decoder = Decoder::<i64, Option<Vec<u32>>>::new(BigEndianCodec, JsonCodec);
    let read = world.read(&topic, 2).await.into_iter();
    let read: Vec<_> = read
        .map(|record| decoder.decode(record).unwrap())
        .map(|decoded| (decoded.key, decoded.value))
        .collect();
    assert_eq!(read, [(-7, Some(vec![3, 5])), (i64::MAX, None)]);
}
