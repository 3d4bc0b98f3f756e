//! milena, always at its defaults.

use milena::producer::Topic;
use milena::{Client, Compression, Delivery};

use crate::case::{Codec, Job, Sample};
use crate::clients::{listed, text};
use crate::load::{self, Record, Sender};

pub(super) async fn produce(job: &Job) -> Result<Sample, String> {
    let client = Client::builder()
        .bootstrap([job.bootstrap.as_str()])
        .connect()
        .await
        .map_err(text)?;
    let mut builder = client.producer();
    let mut set = Vec::new();
    if job.codec != Codec::None {
        builder = builder.compression(compression(job.codec));
        set.push(("compression.type", job.codec.name()));
    }
    if let Some(bytes) = job.batch_size {
        builder = builder.batch_size(bytes);
        set.push(("batch.size", bytes.to_string()));
    }
    let producer = builder.build().map_err(text)?;
    let sample = load::run(job, producer.topic(job.topic.as_str())).await?;
    Ok(Sample {
        set: listed(&set),
        ..sample
    })
}

fn compression(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::GZIP,
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::LZ4,
        Codec::Zstd => Compression::ZSTD,
    }
}

impl Sender for Topic {
    type Delivery = Delivery;

    /// Placement is left to the producer: that is how it is used.
    async fn enqueue(&self, record: Record<'_>) -> Result<Delivery, String> {
        Topic::enqueue(self, record.key, Some(record.value))
            .await
            .map_err(text)
    }

    async fn settle(delivery: Delivery) -> Result<(), String> {
        delivery.await.map(drop).map_err(text)
    }
}
