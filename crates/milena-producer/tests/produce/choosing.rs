//! A partitioner is asked once for each record, in whichever way the record is enqueued.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use milena_broker::{ApiKey, Fault};
use milena_core::ProducerRecord;
use milena_producer::partitioner::RoundRobin;
use milena_producer::{Choice, Partitioner, Partitioning, ProducerBuilder};
use parking_lot::Mutex;

use crate::bed::bed;

/// A partitioner with state, which takes turns and counts how often it was asked for each value.
#[derive(Clone, Default)]
struct Asked {
    turns: Arc<RoundRobin>,
    values: Arc<Mutex<HashMap<Vec<u8>, usize>>>,
    sticky: bool,
}

impl Partitioner for Asked {
    fn choose(&self, record: &Partitioning<'_>) -> Choice {
        let value = record.value.unwrap_or_default().to_vec();
        *self.values.lock().entry(value).or_default() += 1;
        match self.sticky {
            true => Choice::Sticky,
            false => self.turns.choose(record),
        }
    }
}

impl Asked {
    /// Checks that it was asked once for each of `count` records.
    fn once_each(&self, count: usize, way: &str) {
        let values = self.values.lock();
        let more: Vec<_> = values.iter().filter(|(_, times)| **times != 1).collect();
        assert!(more.is_empty(), "{way}: asked more than once: {more:?}");
        assert_eq!(values.len(), count, "{way}");
    }
}

fn value(number: u32) -> ProducerRecord {
    ProducerRecord::new("orders").value(number.to_string())
}

/// Enqueues `count` records in the named way.
async fn hand_over(builder: ProducerBuilder, way: &str, count: u32) {
    let producer = builder.build().unwrap();
    let topic = producer.topic("orders");
    let texts: Vec<_> = (0..count).map(|number| number.to_string()).collect();
    match way {
        "send" => {
            let sends = (0..count).map(|number| producer.send(value(number)));
            let results = futures_util::future::join_all(sends).await;
            assert!(results.iter().all(Result::is_ok));
        }
        "enqueue" => {
            for number in 0..count {
                drop(producer.enqueue(value(number)).await.unwrap());
            }
        }
        "enqueue_then" => {
            for number in 0..count {
                producer.enqueue_then(value(number), drop).await.unwrap();
            }
        }
        "enqueue_all" => drop(producer.enqueue_all((0..count).map(value)).await),
        "send_all" => drop(producer.send_all((0..count).map(value)).await),
        "sink" => {
            let records = stream::iter((0..count).map(|number| Ok(value(number))));
            records.forward(producer.sink()).await.unwrap();
        }
        "topic enqueue" => {
            for text in &texts {
                drop(topic.enqueue(None, Some(text.as_bytes())).await.unwrap());
            }
        }
        "topic enqueue_all" => drop(topic.enqueue_all(&texts).await),
        "try_enqueue" => {
            producer.partitions_for("orders").await.unwrap();
            for number in 0..count {
                drop(producer.try_enqueue(&value(number)).unwrap());
            }
        }
        "topic try_enqueue" => {
            producer.partitions_for("orders").await.unwrap();
            for text in &texts {
                drop(topic.try_enqueue(None, Some(text.as_bytes())).unwrap());
            }
        }
        other => panic!("{other} is no way"),
    }
    producer.flush().await.unwrap();
    producer.close(Duration::from_secs(60)).await.unwrap();
}

const WAITING: [&str; 8] = [
    "send",
    "enqueue",
    "enqueue_then",
    "enqueue_all",
    "send_all",
    "sink",
    "topic enqueue",
    "topic enqueue_all",
];

#[tokio::test(start_paused = true)]
async fn a_partitioner_is_asked_once_for_each_record_whichever_way_it_comes() {
    for sticky in [false, true] {
        for way in WAITING.iter().chain(&["try_enqueue", "topic try_enqueue"]) {
            let (bed, asked) = (bed(4).await, Asked::default());
            let asked = Asked { sticky, ..asked };
            hand_over(bed.builder().partitioner(asked.clone()), way, 100).await;
            asked.once_each(100, way);
            if !sticky {
                let counts = (0..4).map(|partition| bed.values(partition).len());
                assert_eq!(counts.collect::<Vec<_>>(), [25; 4], "{way}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_waits_for_memory_goes_where_it_was_to_go() {
    for sticky in [false, true] {
        for way in WAITING {
            let (bed, asked) = (bed(4).await, Asked::default());
            let asked = Asked { sticky, ..asked };
            let slow = Fault::delay_answer(Duration::from_millis(50)).on(ApiKey::Produce);
            bed.broker.faults().add(slow.always());
            // The memory has room for two batches of one record each.
            let builder = bed.builder().buffer_memory(4 << 10).batch_records(1);
            let builder = builder.batch_size(2 << 10).partitioner(asked.clone());
            hand_over(builder, way, 100).await;
            asked.once_each(100, way);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_wait_for_a_topic_are_chosen_for_once_it_is_there() {
    for way in WAITING {
        let (bed, asked) = (bed(4).await, Asked::default());
        bed.broker
            .faults()
            .add(Fault::hide_topic("orders").times(5));
        hand_over(bed.builder().partitioner(asked.clone()), way, 100).await;
        asked.once_each(100, way);
    }
}
