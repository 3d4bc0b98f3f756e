//! Topics that are hidden for a moment, unused for long, or deleted and created again.

use std::time::Duration;

use milena_broker::{ApiKey, Broker, Fault};
use milena_core::ProducerRecord;
use tokio::time::timeout;

use crate::bed::{Ledger, bed, connect, numbers, record, stamp};

const SECOND: Duration = Duration::from_secs(1);

/// P2
#[tokio::test(start_paused = true)]
async fn sequences_go_on_where_they_were_after_metadata_left_the_topic_out() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let faults = bed.broker.faults();
    let mut ledger = Ledger::default();
    for number in numbers(60) {
        if number.ends_with('5') {
            faults.add(Fault::hide_topic("orders"));
            bed.cluster.request_refresh();
        }
        if number == "30" {
            // Brokers that restart do the same. They are gone, come back, and do not know the topic
            // for a moment.
            for (node, _) in bed.broker.addresses() {
                bed.broker.inspect().broker_down(node);
                bed.broker.inspect().broker_up(node);
            }
        }
        ledger.enqueue(&producer, record(&number)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 60);
    faults.assert_all_fired();
    let mut next = 0;
    for (epoch, first, count) in bed.sent(0).iter().map(stamp) {
        assert!(epoch == 0 && first <= next, "{first} after {next}");
        next = next.max(first + count as i32);
    }
    assert_eq!(next, 60);
}

/// P21
#[tokio::test(start_paused = true)]
async fn topics_used_by_turns_are_known_however_old_the_metadata_grows() {
    let broker = Broker::builder().brokers(2).topic("a", 1).topic("b", 1);
    let broker = broker.start().await.unwrap();
    let dialer = broker.dialer();
    let bed = connect(broker, dialer, |cluster| cluster.metadata_max_age(SECOND)).await;
    let producer = bed.producer();
    for round in 0..20 {
        let topic = ["a", "b"][round % 2];
        let (leader, _) = bed.broker.inspect().leader(topic, 0).unwrap();
        bed.broker.inspect().move_leader(topic, 0, 3 - leader);
        let record = ProducerRecord::new(topic).value(round.to_string());
        timeout(SECOND, producer.send(record))
            .await
            .unwrap()
            .unwrap();
        tokio::time::sleep(5 * SECOND).await;
    }
    assert_eq!(bed.values_of("a", 0).len(), 10);
    let names = bed.cluster.metadata();
    assert!(names.topic("a").is_some() && names.topic("b").is_some());
}

/// P25
#[tokio::test(start_paused = true)]
async fn a_topic_that_is_deleted_and_made_again_over_and_over_is_written_to_each_time() {
    for hidden in [Duration::ZERO, Duration::from_millis(300), 3 * SECOND] {
        let bed = bed(2).await;
        let producer = bed.producer();
        let background = tokio::spawn({
            let producer = producer.clone();
            async move {
                let mut ended = 0;
                for number in 0..2000 {
                    let record = ProducerRecord::new("orders")
                        .key(number.to_string())
                        .value("bg");
                    let delivery = producer.enqueue(record).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    if number % 10 == 0 {
                        ended += usize::from(delivery.await.is_ok());
                    }
                }
                ended
            }
        });
        for round in 0..8 {
            tokio::time::sleep(SECOND).await;
            assert!(bed.broker.inspect().delete_topic("orders"));
            tokio::time::sleep(hidden).await;
            bed.broker.inspect().create_topic("orders", 2).unwrap();
            for partition in 0..2 {
                let value = format!("{round}");
                let record = ProducerRecord::new("orders")
                    .partition(partition)
                    .value(value.clone());
                let sent = timeout(10 * SECOND, producer.send(record)).await;
                sent.expect("it does not hang").unwrap();
                assert!(bed.values(partition).contains(&value), "round {round}");
            }
        }
        assert_eq!(
            timeout(300 * SECOND, background).await.unwrap().unwrap(),
            200
        );
        timeout(10 * SECOND, producer.flush())
            .await
            .unwrap()
            .unwrap();
    }
}

/// P25
#[tokio::test(start_paused = true)]
async fn a_topic_made_again_with_fewer_partitions_takes_every_key() {
    let bed = bed(6).await;
    let producer = bed.producer();
    for number in numbers(30) {
        let record = ProducerRecord::new("orders").key(number).value("old");
        producer.send(record).await.unwrap();
    }
    bed.broker.inspect().delete_topic("orders");
    bed.broker.inspect().create_topic("orders", 2).unwrap();
    bed.cluster.refresh().await.unwrap();
    bed.broker
        .journal()
        .wait_for(|entry| entry.api() == ApiKey::Metadata)
        .await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    for number in numbers(30) {
        let record = ProducerRecord::new("orders").key(number).value("new");
        let sent = timeout(5 * SECOND, producer.send(record)).await;
        sent.expect("it does not hang").unwrap();
    }
    assert_eq!(producer.partitions_for("orders").await.unwrap().len(), 2);
    bed.broker.inspect().add_partitions("orders", 4).unwrap();
    bed.cluster.refresh().await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(producer.partitions_for("orders").await.unwrap().len(), 4);
    let record = ProducerRecord::new("orders").partition(3).value("grown");
    producer.send(record).await.unwrap();
    assert_eq!(bed.values(3), ["grown"]);
}

/// P25. The answer for the old topic, with its id, comes when the new one is known already.
#[tokio::test(start_paused = true)]
async fn a_record_acknowledged_in_the_old_topic_is_not_written_to_the_new_one() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let slow = Fault::delay_answer(SECOND).on(ApiKey::Produce);
    bed.broker.faults().add(slow);
    let delivery = producer.enqueue(record("old")).await.unwrap();
    tokio::time::sleep(SECOND / 2).await;
    bed.broker.inspect().delete_topic("orders");
    bed.broker.inspect().create_topic("orders", 1).unwrap();
    bed.cluster.refresh().await.unwrap();
    assert_eq!(delivery.await.unwrap().offset, Some(1.into()));
    assert!(bed.values(0).is_empty());
    producer.send(record("new")).await.unwrap();
    assert_eq!(bed.values(0), ["new"]);
}
