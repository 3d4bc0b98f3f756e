//! `confluent-kafka`, Confluent's translation of Kafka's Java client, through its byte-slice
//! interface.

use std::collections::HashMap;

use confluent_kafka::common::KafkaFuture;
use confluent_kafka::common::serialization::ByteArraySerializer;
use confluent_kafka::producer::{
    KafkaProducer, Producer, ProducerConfig, ProducerRecord, RecordMetadata,
};

use crate::case::{Codec, Job, Sample};
use crate::clients::{listed, text};
use crate::load::{self, Record, Sender};

pub(super) async fn produce(job: &Job) -> Result<Sample, String> {
    let set = settings(job);
    let mut properties: HashMap<String, String> = set
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    properties.insert("bootstrap.servers".to_owned(), job.bootstrap.clone());
    let config = ProducerConfig::new(&properties).map_err(text)?;
    let producer = KafkaProducer::new(
        config,
        ByteArraySerializer::default(),
        ByteArraySerializer::default(),
    );
    let confluent = Confluent {
        producer: producer.map_err(text)?,
        topic: job.topic.clone(),
    };
    let sample = load::run(job, confluent).await?;
    Ok(Sample {
        set: listed(&set),
        ..sample
    })
}

fn settings(job: &Job) -> Vec<(&'static str, String)> {
    let mut set = vec![
        ("acks", "all".to_owned()),
        ("enable.idempotence", job.idempotent().to_string()),
    ];
    if job.codec != Codec::None {
        set.push(("compression.type", job.codec.name()));
    }
    if job.keys {
        let murmur2 = ProducerConfig::MURMUR2_RANDOM_PARTITIONER;
        set.push(("partitioner.type", murmur2.to_owned()));
    }
    if let Some(bytes) = job.batch_size {
        set.push(("batch.size", bytes.to_string()));
    }
    if job.tuned() {
        let linger = if job.rate.is_some() { 0 } else { 5 };
        set.push(("linger.ms", linger.to_string()));
        if job.batch_size.is_none() {
            set.push(("batch.size", "1000000".to_owned()));
        }
        set.push(("max.request.size", "8388608".to_owned()));
        set.push(("buffer.memory", "268435456".to_owned()));
        if job.codec == Codec::Zstd {
            set.push(("compression.zstd.level", "1".to_owned()));
        }
    }
    set
}

struct Confluent {
    producer: KafkaProducer<Vec<u8>, Vec<u8>>,
    topic: String,
}

impl Sender for Confluent {
    type Delivery = KafkaFuture<RecordMetadata>;

    async fn enqueue(&self, record: Record<'_>) -> Result<Self::Delivery, String> {
        let message = ProducerRecord::with_partition_timestamp_key(
            self.topic.clone(),
            record.partition,
            None,
            record.key,
            Some(record.value),
        );
        let message = message.map_err(text)?;
        self.producer.send(message, None).await.map_err(text)
    }

    async fn settle(delivery: Self::Delivery) -> Result<(), String> {
        delivery.get().await.map(drop).map_err(text)
    }

    async fn flush(&self) -> Result<(), String> {
        Producer::flush(&self.producer).await.map_err(text)
    }
}
