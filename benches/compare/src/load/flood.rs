//! The load for asynchronous clients, from one task that awaits every delivery.

use std::collections::VecDeque;
use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::case::{Job, Sample};
use crate::load::{OPEN, Pace, RUN, Record, Source, Tick, WARM_UP, settled};
use crate::measure::Meter;

/// An asynchronous client that produces to one topic.
pub(crate) trait Sender: Send + Sync + 'static {
    /// The future or handle of a record's acknowledgement.
    type Delivery: Send + 'static;

    /// Enqueues a record, and waits while the client has no room.
    fn enqueue(
        &self,
        record: Record<'_>,
    ) -> impl Future<Output = Result<Self::Delivery, String>> + Send;

    /// Waits for a record's acknowledgement.
    fn settle(delivery: Self::Delivery) -> impl Future<Output = Result<(), String>> + Send;

    /// Sends the records that linger.
    fn flush(&self) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }
}

/// Warms the client up and measures it on a task of the runtime, like users' code.
pub(crate) async fn run<S: Sender>(job: &Job, sender: S) -> Result<Sample, String> {
    let job = job.clone();
    let task = tokio::spawn(async move {
        let source = Source::new(&job);
        let seconds = job.seconds;
        match job.rate {
            None => {
                flood(&sender, &source, WARM_UP).await?;
                let meter = Meter::start();
                let records = flood(&sender, &source, seconds).await?;
                Ok(meter.stop(records))
            }
            Some(rate) => {
                paced(&sender, &source, Pace::new(rate, WARM_UP)).await?;
                let meter = Meter::start();
                let (records, times) = paced(&sender, &source, Pace::new(rate, seconds)).await?;
                let latencies_ms = settled(times);
                Ok(Sample {
                    latencies_ms,
                    ..meter.stop(records)
                })
            }
        }
    });
    task.await.map_err(|error| error.to_string())?
}

async fn flood<S: Sender>(sender: &S, source: &Source, seconds: f64) -> Result<u64, String> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut open = VecDeque::with_capacity(OPEN + 1);
    let mut sent = 0;
    while Instant::now() < end {
        for _ in 0..RUN {
            open.push_back(sender.enqueue(source.record(sent)).await?);
            sent += 1;
            if open.len() > OPEN
                && let Some(oldest) = open.pop_front()
            {
                S::settle(oldest).await?;
            }
        }
    }
    sender.flush().await?;
    for delivery in open {
        S::settle(delivery).await?;
    }
    Ok(sent)
}

/// Returns the records sent, and the milliseconds of the first and last record of each tick.
async fn paced<S: Sender>(
    sender: &S,
    source: &Source,
    pace: Pace,
) -> Result<(u64, Vec<f64>), String> {
    // One task awaits all deliveries in their order, like a callback thread.
    let (told, mut bursts) = mpsc::unbounded_channel::<(Instant, Vec<S::Delivery>)>();
    let awaited = tokio::spawn(async move {
        let mut times = Vec::new();
        while let Some((since, deliveries)) = bursts.recv().await {
            let last = deliveries.len().saturating_sub(1);
            for (number, delivery) in deliveries.into_iter().enumerate() {
                S::settle(delivery).await?;
                if number == 0 || number == last {
                    times.push(since.elapsed().as_secs_f64() * 1e3);
                }
            }
        }
        Ok::<_, String>(times)
    });
    let (mut sent, mut ticks) = (0, pace.ticks());
    while let Some(Tick { records, since }) = ticks.next().await {
        let mut deliveries = Vec::with_capacity(records as usize);
        for _ in 0..records {
            deliveries.push(sender.enqueue(source.record(sent)).await?);
            sent += 1;
        }
        // The channel is closed after the first failure, which is reported below.
        drop(told.send((since, deliveries)));
    }
    drop(told);
    sender.flush().await?;
    let times = awaited.await.map_err(|error| error.to_string())??;
    Ok((sent, times))
}
