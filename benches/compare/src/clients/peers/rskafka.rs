//! rskafka. The caller gathers records into batches and sends each to a partition. It has no
//! idempotence.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::record::Record;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::case::{Codec, Job, Sample};
use crate::clients::text;
use crate::load::{Pace, Source, Tick, WARM_UP, settled};
use crate::measure::Meter;

pub(super) async fn produce(job: &Job) -> Result<Sample, String> {
    let rskafka = Arc::new(Rskafka::connect(job).await?);
    let job = job.clone();
    // The load runs on a worker of the runtime, like that of the other clients.
    let task = tokio::spawn(async move { rskafka.measure(&job).await });
    task.await.map_err(text)?
}

struct Rskafka {
    /// The clients of the partitions, each with its permits for batches in flight.
    partitions: Vec<(Arc<PartitionClient>, Arc<Semaphore>)>,
    compression: Compression,
    batch: u64,
    in_flight: usize,
    source: Source,
}

impl Rskafka {
    async fn connect(job: &Job) -> Result<Self, String> {
        let client = ClientBuilder::new(vec![job.bootstrap.clone()])
            .build()
            .await;
        let client = client.map_err(text)?;
        let in_flight = if job.tuned() { 2 } else { 1 };
        let mut partitions = Vec::new();
        for number in 0..job.partitions {
            let handling = UnknownTopicHandling::Retry;
            let one = client.partition_client(job.topic.as_str(), number as i32, handling);
            let one = Arc::new(one.await.map_err(text)?);
            partitions.push((one, Arc::new(Semaphore::new(in_flight))));
        }
        let bytes = job.batch_size.unwrap_or(1_000_000);
        let full = (bytes / (job.size + 10)).max(1) as u64;
        let untuned = if job.batch_size.is_some() {
            full
        } else {
            1000.min(full)
        };
        Ok(Self {
            partitions,
            compression: compression(job.codec),
            batch: if job.tuned() { full } else { untuned },
            in_flight,
            source: Source::new(job),
        })
    }

    async fn measure(&self, job: &Job) -> Result<Sample, String> {
        let sample = match job.rate {
            None => {
                self.flood(WARM_UP).await?;
                let meter = Meter::start();
                meter.stop(self.flood(job.seconds).await?)
            }
            Some(rate) => {
                self.paced(Pace::new(rate, WARM_UP)).await?;
                let meter = Meter::start();
                let (records, times) = self.paced(Pace::new(rate, job.seconds)).await?;
                Sample {
                    latencies_ms: settled(times),
                    ..meter.stop(records)
                }
            }
        };
        let set = format!(
            "not idempotent; {} records a batch, {} batches in flight per partition{}",
            self.batch,
            self.in_flight,
            if job.rate.is_some() {
                "; paced: one batch a tick"
            } else {
                ""
            },
        );
        Ok(Sample { set, ..sample })
    }

    async fn flood(&self, seconds: f64) -> Result<u64, String> {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let (mut sent, mut open) = (0, JoinSet::new());
        for (client, places) in self.partitions.iter().cycle() {
            if Instant::now() >= end {
                break;
            }
            let place = places.clone().acquire_owned().await.map_err(text)?;
            open.spawn(send(
                client.clone(),
                self.records(sent, self.batch),
                self.compression,
                place,
            ));
            sent += self.batch;
            while let Some(done) = open.try_join_next() {
                done.map_err(text)??;
            }
        }
        while let Some(done) = open.join_next().await {
            done.map_err(text)??;
        }
        Ok(sent)
    }

    /// Sends each tick's records as one batch.
    async fn paced(&self, pace: Pace) -> Result<(u64, Vec<f64>), String> {
        let (mut sent, mut times, mut open) = (0, Vec::new(), JoinSet::new());
        let mut turns = self.partitions.iter().cycle();
        let mut ticks = pace.ticks();
        while let Some(Tick { records, since }) = ticks.next().await {
            let Some((client, places)) = turns.next() else {
                break;
            };
            let place = places.clone().acquire_owned().await.map_err(text)?;
            let batch = self.records(sent, records);
            let sending = send(client.clone(), batch, self.compression, place);
            open.spawn(async move { sending.await.map(|()| since.elapsed().as_secs_f64() * 1e3) });
            sent += records;
        }
        while let Some(done) = open.join_next().await {
            times.push(done.map_err(text)??);
        }
        Ok((sent, times))
    }

    fn records(&self, first: u64, count: u64) -> Vec<Record> {
        let now = SystemTime::now();
        let record = |number| {
            let record = self.source.record(number);
            Record {
                key: record.key.map(<[u8]>::to_vec),
                value: Some(record.value.to_vec()),
                headers: Default::default(),
                timestamp: now.into(),
            }
        };
        (first..first + count).map(record).collect()
    }
}

async fn send(
    client: Arc<PartitionClient>,
    records: Vec<Record>,
    compression: Compression,
    place: OwnedSemaphorePermit,
) -> Result<(), String> {
    client.produce(records, compression).await.map_err(text)?;
    drop(place);
    Ok(())
}

fn compression(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::NoCompression,
        Codec::Gzip => Compression::Gzip,
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd,
    }
}
