//! milena, always with its defaults.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use milena::producer::{Deliveries, Topic};
use milena::{Client, Compression, Delivery};

use crate::case::{Codec, Job, Sample};
use crate::clients::{listed, text};
use crate::load::{self, Record, Sender, Source};
use crate::measure::Meter;

pub(super) async fn produce(job: &Job) -> Result<Sample, String> {
    let (topic, set) = topic(job).await?;
    let sample = load::run(job, topic).await?;
    Ok(Sample { set, ..sample })
}

pub(super) async fn produce_batches(job: &Job) -> Result<Sample, String> {
    let (topic, set) = topic(job).await?;
    let job = job.clone();
    // The load runs on a task of the runtime, like users' code.
    let sample = tokio::spawn(async move {
        let source = Source::new(&job);
        flood(&topic, &source, load::WARM_UP).await?;
        let meter = Meter::start();
        let records = flood(&topic, &source, job.seconds).await?;
        Ok::<_, String>(meter.stop(records))
    });
    let sample = sample.await.map_err(text)??;
    Ok(Sample { set, ..sample })
}

async fn flood(topic: &Topic, source: &Source, seconds: f64) -> Result<u64, String> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let (mut open, mut sent) = (VecDeque::<Deliveries>::new(), 0);
    while Instant::now() < end {
        let run = (sent..sent + load::RUN as u64).map(|number| {
            let record = source.record(number);
            (record.key, Some(record.value))
        });
        open.push_back(topic.enqueue_all(run).await);
        sent += load::RUN as u64;
        if open.len() * load::RUN > load::OPEN
            && let Some(oldest) = open.pop_front()
        {
            oldest.all_delivered().await.map_err(text)?;
        }
    }
    for deliveries in open {
        deliveries.all_delivered().await.map_err(text)?;
    }
    Ok(sent)
}

pub(super) async fn topic(job: &Job) -> Result<(Topic, String), String> {
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
    Ok((producer.topic(job.topic.as_str()), listed(&set)))
}

pub(crate) fn compression(codec: Codec) -> Compression {
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

    /// The producer chooses the partition, because this is its normal use.
    async fn enqueue(&self, record: Record<'_>) -> Result<Delivery, String> {
        Topic::enqueue(self, record.key, Some(record.value))
            .await
            .map_err(text)
    }

    async fn settle(delivery: Delivery) -> Result<(), String> {
        delivery.await.map(drop).map_err(text)
    }
}
