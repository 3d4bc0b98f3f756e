//! Members of a group share partitions, hand them over, and resume at committed offsets.

use std::collections::BTreeSet;

use milena::{ConsumerRecord, ProducerRecord};
use tokio::sync::mpsc;

use crate::cluster::{World, unique, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_member_takes_over_half_of_the_partitions() {
    let world = World::new().await;
    let (topic, group) = (world.topic(4).await, unique("group"));
    let producer = world.client.producer().build().unwrap();
    let (seen, mut records) = mpsc::channel(1_024);
    let member = |name: &'static str| {
        let seen = seen.clone();
        world.run(&topic, &group, move |record: ConsumerRecord| {
            let seen = seen.clone();
            async move {
                seen.send((name, record.partition.index())).await.unwrap();
            }
        })
    };
    let round = async |records: &mut mpsc::Receiver<(&'static str, usize)>| {
        for partition in 0..4u32 {
            within(producer.send(ProducerRecord::new(&topic).partition(partition).value("x")))
                .await
                .unwrap();
        }
        let mut round = Vec::new();
        for _ in 0..4 {
            round.push(within(records.recv()).await.unwrap());
        }
        round
    };
    let first = member("first");
    assert!(
        round(&mut records)
            .await
            .iter()
            .all(|(name, _)| *name == "first")
    );
    let second = member("second");
    // Rounds are repeated until both members share the partitions. The second one joins when the
    // coordinator lets it.
    within(async {
        loop {
            let round = round(&mut records).await;
            let of = |wanted: &str| {
                round
                    .iter()
                    .filter(|(name, _)| *name == wanted)
                    .map(|(_, p)| *p)
                    .collect::<BTreeSet<_>>()
            };
            if of("first").len() == 2 && of("second").len() == 2 {
                break;
            }
        }
    })
    .await;
    second.stop().await.unwrap();
    within(async {
        while round(&mut records)
            .await
            .iter()
            .any(|(name, _)| *name == "second")
        {}
    })
    .await;
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_group_goes_on_where_it_was() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    let producer = world.client.producer().build().unwrap();
    let (seen, mut values) = mpsc::channel(64);
    for run in 0..3u32 {
        for n in 0..5u32 {
            within(producer.send(ProducerRecord::new(&topic).value(format!("{run}-{n}"))))
                .await
                .unwrap();
        }
        let seen = seen.clone();
        let running = world.run(&topic, &group, move |record: ConsumerRecord| {
            let seen = seen.clone();
            async move {
                seen.send(String::from_utf8(record.value.unwrap().to_vec()).unwrap())
                    .await
                    .unwrap();
            }
        });
        for n in 0..5u32 {
            assert_eq!(within(values.recv()).await, Some(format!("{run}-{n}")));
        }
        running.stop().await.unwrap();
    }
}
