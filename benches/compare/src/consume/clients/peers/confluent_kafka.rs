//! `confluent-kafka`, Confluent's translation of Kafka's Java client, polled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use confluent_kafka::common::TopicPartition;
use confluent_kafka::common::serialization::ByteArrayDeserializer;
use confluent_kafka::consumer::{Consumer, ConsumerConfig, KafkaConsumer};

use crate::case::ConsumeJob;
use crate::clients::{listed, text};
use crate::consume::board::Board;
use crate::consume::clients::from_end;
use crate::consume::tally::Tally;

pub(super) async fn consume(job: &ConsumeJob, board: &Arc<Board>) -> Result<(), String> {
    let set = settings(job);
    board.set(listed(&set));
    let mut properties: HashMap<String, String> = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    properties.insert("bootstrap.servers".to_owned(), job.bootstrap.clone());
    let config = ConsumerConfig::new(&properties).map_err(text)?;
    let mut consumer: KafkaConsumer<Vec<u8>, Vec<u8>> = KafkaConsumer::new(
        config,
        ByteArrayDeserializer::default(),
        ByteArrayDeserializer::default(),
    )
    .map_err(text)?;
    let partitions = (0..job.partitions)
        .map(|partition| TopicPartition::new(job.topic.as_str(), partition as i32))
        .collect();
    consumer.assign(partitions).await.map_err(text)?;
    let (board, partitions) = (Arc::clone(board), job.partitions);
    let task = tokio::spawn(async move {
        let mut tally = Tally::new(&board, 0, partitions);
        while tally.flush()? {
            let records = consumer.poll(Duration::from_millis(100)).await;
            for record in &records.map_err(text)? {
                let value = record.value().map(Vec::as_slice).unwrap_or_default();
                tally.record(record.partition(), record.offset(), value);
            }
        }
        Ok(())
    });
    task.await.map_err(text)?
}

fn settings(job: &ConsumeJob) -> Vec<(&'static str, &'static str)> {
    let reset = if from_end(job) { "latest" } else { "earliest" };
    let mut set = vec![
        // The client has no other protocol. No group is joined here.
        ("group.protocol", "consumer"),
        ("check.crcs", "true"),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", reset),
    ];
    if job.tuned() {
        set.push(("max.poll.records", "10000"));
        set.push(("max.partition.fetch.bytes", "4194304"));
    }
    set
}
