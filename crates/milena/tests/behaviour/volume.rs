//! Many records through a group whose members come and go. Every record is seen at least once, in
//! order per partition.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena::{ConsumerRecord, ProducerRecord};
use tokio::sync::{Mutex, watch};

use crate::cluster::{World, unique};

/// The records that all members of the group saw together.
#[derive(Default)]
struct Seen {
    /// The times that each record was seen, by its number.
    times: Vec<u8>,
    /// The number of different records that were seen.
    different: usize,
    /// The last offset that was seen, by partition, to check the order.
    last: HashMap<usize, i64>,
    /// The records that came before one with a lower offset of their partition. Redeliveries after
    /// a rebalance do not count.
    out_of_order: usize,
}

impl Seen {
    fn take(&mut self, record: &ConsumerRecord) {
        let number: usize = std::str::from_utf8(&record.key.as_deref().unwrap()[..8])
            .unwrap()
            .parse()
            .unwrap();
        let offset = record.offset.to_wire();
        let last = self.last.insert(record.partition.index(), offset);
        let again = self.times[number] > 0;
        // A record that was not seen before must directly follow the last one of its partition.
        if !again && last.is_some_and(|last| last + 1 != offset) {
            self.out_of_order += 1;
        }
        self.times[number] = self.times[number].saturating_add(1);
        self.different += usize::from(!again);
    }
}

async fn produce_and_share(records: usize) {
    let world = World::new().await;
    let topic = world.topic(4).await;
    let group = unique("group");
    let seen = Arc::new(Mutex::new(Seen {
        times: vec![0; records],
        ..Seen::default()
    }));
    let (progress, mut progressed) = watch::channel(0usize);
    let progress = Arc::new(progress);
    let member = || {
        let (seen, progress) = (seen.clone(), progress.clone());
        world.run(&topic, &group, move |record: ConsumerRecord| {
            let (seen, progress) = (seen.clone(), progress.clone());
            async move {
                let mut seen = seen.lock().await;
                seen.take(&record);
                if seen.different % 1_000 == 0 || seen.different == seen.times.len() {
                    progress.send_replace(seen.different);
                }
            }
        })
    };
    let (first, second) = (member(), member());

    let started = Instant::now();
    let producer = world.client.producer().build().unwrap();
    let value = "v".repeat(92);
    let mut deliveries = Vec::with_capacity(records);
    for n in 0..records {
        let record = ProducerRecord::new(&topic)
            .key(format!("{n:08}"))
            .value(value.clone());
        deliveries.push(producer.enqueue(record).await.unwrap());
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let produced = started.elapsed();

    let patience = Duration::from_secs(120);
    let reaches = |count: usize| move |seen: &usize| *seen >= count;
    let half = tokio::time::timeout(patience, progressed.wait_for(reaches(records / 2))).await;
    half.expect("half of the records arrive in time").unwrap();
    second.stop().await.unwrap(); // one member leaves in the middle
    let all = tokio::time::timeout(patience, progressed.wait_for(reaches(records))).await;
    let elapsed = started.elapsed();
    let missing = records - seen.lock().await.different;
    assert!(all.is_ok(), "{missing} of {records} records never arrived");
    first.stop().await.unwrap();

    let seen = seen.lock().await;
    assert!(seen.times.iter().all(|times| *times > 0));
    assert_eq!(seen.out_of_order, 0, "records out of order");
    let again = seen.times.iter().filter(|times| **times > 1).count();
    println!(
        "{records} records of 100 B: produced in {produced:.2?}, all consumed by two members after {elapsed:.2?}, {again} seen again \
         after the rebalances"
    );
    assert_eq!(
        again, 0,
        "members that leave in good order commit what they did first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_the_records_and_one_leaving_loses_none() {
    produce_and_share(40_000).await;
}

/// The long run, for `make verify`. Its figures are in the documents.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long in an unoptimised build; `make verify` runs it"]
async fn a_million_records_are_shared_by_two_members_and_none_is_lost() {
    produce_and_share(1_000_000).await;
}
