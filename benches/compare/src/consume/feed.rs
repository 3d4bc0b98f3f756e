//! Fills topics for others to read, with milena's producer for all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use milena::Client;
use milena::core::{Event, Observer};

use crate::case::{Amount, FeedJob, Sample};
use crate::clients::{compression, text};
use crate::load;
use crate::measure::monotonic;

/// Writes the records of a job. For a filled topic, the sample holds the bytes of batches per
/// record as `read_amplification`.
pub(crate) fn feed(job: &FeedJob) -> Result<Sample, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(text)?;
    runtime.block_on(write(job))
}

/// Counts the content of the log.
#[derive(Debug, Default)]
struct Stored {
    bytes: AtomicU64,
    records: AtomicU64,
}

impl Observer for Stored {
    fn on(&self, event: &Event<'_>) {
        if let Event::BatchDelivered { records, bytes, .. } = event {
            self.bytes.fetch_add(*bytes as u64, Ordering::Relaxed);
            self.records
                .fetch_add(u64::from(*records), Ordering::Relaxed);
        }
    }
}

async fn write(job: &FeedJob) -> Result<Sample, String> {
    let client = Client::builder()
        .bootstrap([job.bootstrap.as_str()])
        .connect()
        .await
        .map_err(text)?;
    let stored = Arc::new(Stored::default());
    let mut builder = client
        .producer()
        .compression(compression(job.codec))
        .add_observer(Arc::<Stored>::clone(&stored));
    if let Some(bytes) = job.batch_size {
        builder = builder.batch_size(bytes);
    }
    let producer = builder.build().map_err(text)?;
    let topic = producer.topic(job.topic.as_str());
    let values: Vec<_> = (0..1024).map(|n| load::value(n, job.size)).collect();
    let value = |number: u64| {
        let value = values.get(number as usize % values.len());
        value.map_or(&[][..], Vec::as_slice)
    };
    let records = match job.amount {
        Amount::Records(all) => {
            let mut last = None;
            for number in 0..all {
                last = Some(
                    topic
                        .enqueue(None, Some(value(number)))
                        .await
                        .map_err(text)?,
                );
            }
            producer.flush().await.map_err(text)?;
            if let Some(last) = last {
                last.await.map_err(text)?;
            }
            all
        }
        Amount::PerSecond(rate) => {
            let mut stamped = value(0).to_vec();
            let tick = Duration::from_secs_f64((1.0 / rate.max(1) as f64).max(0.001));
            let (start, mut ticks, mut sent) = (Instant::now(), 0u32, 0u64);
            loop {
                ticks += 1;
                tokio::time::sleep_until((start + tick * ticks).into()).await;
                let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
                // The first record of each tick holds the time. The others hold zero.
                for number in sent..due {
                    let time = if number == sent { monotonic() } else { 0 };
                    if let Some(place) = stamped.first_chunk_mut() {
                        *place = time.to_le_bytes();
                    }
                    drop(topic.enqueue(None, Some(&stamped)).await.map_err(text)?);
                }
                sent = due;
            }
        }
    };
    client.close().await;
    let told = stored.records.load(Ordering::Relaxed);
    let bytes = stored.bytes.load(Ordering::Relaxed);
    Ok(Sample {
        records,
        read_amplification: Some(bytes as f64 / told.max(1) as f64),
        ..Sample::default()
    })
}
