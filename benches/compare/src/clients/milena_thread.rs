//! milena called from a plain thread, with the same load and clock as the blocking clients.

use std::sync::Arc;
use std::time::Duration;

use ::milena::Delivery;
use ::milena::producer::Topic;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use crate::case::{Job, Sample};
use crate::clients::{runtime, text};
use crate::load::{Blocking, Reports, Source, run_blocking};

pub(super) fn produce(job: &Job) -> Result<Sample, String> {
    let runtime = runtime(&job.cores)?;
    let (topic, set) = runtime.block_on(super::milena::topic(job))?;
    let reports = Arc::new(Reports::default());
    let (told, given) = mpsc::unbounded_channel();
    runtime.spawn(report(given, reports.clone()));
    let thread = Thread {
        runtime,
        topic,
        told,
        reports,
    };
    let sample = run_blocking(job, &thread)?;
    Ok(Sample { set, ..sample })
}

struct Thread {
    runtime: Runtime,
    topic: Topic,
    told: mpsc::UnboundedSender<Given>,
    reports: Arc<Reports>,
}

/// A message from the thread to the task that awaits deliveries.
enum Given {
    Records(Vec<Delivery>, usize),
    Flush(oneshot::Sender<()>),
}

/// Awaits all deliveries in their order, like a callback thread.
async fn report(mut given: mpsc::UnboundedReceiver<Given>, reports: Arc<Reports>) {
    while let Some(given) = given.recv().await {
        match given {
            Given::Records(deliveries, stamp) => {
                for delivery in deliveries {
                    match delivery.await {
                        Ok(_) => reports.delivered(stamp),
                        Err(error) => reports.failed(error.to_string()),
                    }
                }
            }
            // The thread waits only for this answer.
            Given::Flush(done) => drop(done.send(())),
        }
    }
}

impl Blocking for Thread {
    fn produce(&self, source: &Source, first: u64, count: u64, stamp: usize) -> Result<(), String> {
        let deliveries = self.runtime.block_on(async {
            let mut deliveries = Vec::with_capacity(count as usize);
            for number in first..first + count {
                let record = source.record(number);
                let taken = self.topic.enqueue(record.key, Some(record.value)).await;
                deliveries.push(taken.map_err(text)?);
            }
            Ok::<_, String>(deliveries)
        })?;
        self.told
            .send(Given::Records(deliveries, stamp))
            .map_err(text)
    }

    /// A task awaits the deliveries, so this only sleeps.
    fn poll(&self, wait: Duration) {
        std::thread::sleep(wait);
    }

    fn reports(&self) -> &Reports {
        &self.reports
    }

    fn flush(&self) -> Result<(), String> {
        let (done, flushed) = oneshot::channel();
        self.told.send(Given::Flush(done)).map_err(text)?;
        flushed.blocking_recv().map_err(text)
    }
}
