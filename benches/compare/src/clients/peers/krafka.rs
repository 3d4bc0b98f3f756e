//! krafka, through `enqueue`.

use std::time::Duration;

use krafka::producer::{Acks, DeliveryHandle, Producer};
use krafka::{Compression, Kafka};

use crate::case::{Codec, Job, Sample};
use crate::clients::{listed, text};
use crate::load::{self, Record, Sender};

pub(super) async fn produce(job: &Job) -> Result<Sample, String> {
    let kafka = Kafka::builder(job.bootstrap.clone()).connect().await;
    let mut builder = kafka
        .map_err(text)?
        .producer()
        .acks(Acks::All)
        .idempotent(job.idempotent());
    let mut set = vec![
        ("acks", "all".to_owned()),
        ("idempotent", job.idempotent().to_string()),
    ];
    if job.codec != Codec::None {
        builder = builder.compression(compression(job.codec));
        set.push(("compression", job.codec.name()));
    }
    if let Some(bytes) = job.batch_size {
        builder = builder.batch_size(bytes);
        set.push(("batch_size", bytes.to_string()));
    }
    if job.tuned() {
        let linger = if job.rate.is_some() { 0 } else { 5 };
        builder = builder
            .linger(Duration::from_millis(linger))
            .max_request_size(8 << 20)
            .buffer_memory(256 << 20);
        set.push(("linger_ms", linger.to_string()));
        set.push(("max_request_size", "8388608".to_owned()));
        set.push(("buffer_memory", "268435456".to_owned()));
        if job.batch_size.is_none() {
            builder = builder.batch_size(1_000_000);
            set.push(("batch_size", "1000000".to_owned()));
        }
        if job.codec == Codec::Zstd {
            builder = builder.compression_level(Some(1));
            set.push(("compression_level", "1".to_owned()));
        }
    }
    let krafka = Krafka {
        producer: builder.build().await.map_err(text)?,
        topic: job.topic.clone(),
    };
    let sample = load::run(job, krafka).await?;
    Ok(Sample {
        set: listed(&set),
        ..sample
    })
}

fn compression(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::Gzip,
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd,
    }
}

struct Krafka {
    producer: Producer,
    topic: String,
}

impl Sender for Krafka {
    type Delivery = DeliveryHandle;

    async fn enqueue(&self, record: Record<'_>) -> Result<DeliveryHandle, String> {
        let mut message = krafka::Record::new(self.topic.as_str(), record.value.to_vec());
        if let Some(partition) = record.partition {
            message = message.partition(partition);
        }
        if let Some(key) = record.key {
            message = message.key(key.to_vec());
        }
        self.producer.enqueue(message).await.map_err(text)
    }

    async fn settle(delivery: DeliveryHandle) -> Result<(), String> {
        delivery.await.map(drop).map_err(text)
    }

    async fn flush(&self) -> Result<(), String> {
        self.producer.flush().await.map_err(text)
    }
}
