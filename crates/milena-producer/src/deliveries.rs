//! The outcomes of many records that were enqueued together.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{Error, RecordMetadata, Result};

use crate::delivery::{Delivery, Receipt};

/// The outcomes of records that were enqueued together, as one awaitable.
///
/// Awaiting it returns one outcome per record, in the order of the records.
/// [`all_delivered`](Self::all_delivered) returns only the first error, and costs nothing per
/// record. If this is dropped, the records are still sent.
///
/// ```
/// # use milena_broker::Broker;
/// # use milena_pool::Cluster;
/// # use milena_producer::Producer;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// # let broker = Broker::builder().topic("orders", 3).start().await?;
/// # let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
/// # let cluster = cluster.connect().await?;
/// # let producer = Producer::builder(cluster).build()?;
/// let orders = producer.topic("orders");
/// let lines = ["{\"id\":1}", "{\"id\":2}", "{\"id\":3}"];
/// let sent = orders.enqueue_all(&lines).await;
/// sent.all_delivered().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Dropping it cancels nothing.
#[must_use = "only the deliveries say whether the records were written; await them, or drop them on purpose"]
#[derive(Default)]
pub struct Deliveries {
    /// The records in their order, as runs that share a batch.
    runs: Vec<Run>,
    /// The number of records.
    count: usize,
    /// The index of the run that is awaited, and the number of its records whose outcome is in
    /// `outcomes`.
    at: (usize, u32),
    /// The delivery that is polled. `None` between two records.
    current: Option<Delivery>,
    /// The outcomes so far.
    outcomes: Vec<Result<RecordMetadata>>,
}

/// Records next to each other that share a batch, or one that was refused.
enum Run {
    /// Records of one batch.
    Placed {
        /// The receipt of the batch.
        receipt: Arc<Receipt>,
        /// The index of the first record in the batch.
        first: u32,
        /// The number of records.
        count: u32,
    },
    /// A record that was not enqueued.
    Refused(Error),
}

impl Deliveries {
    /// Returns the number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns true if there was no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Waits until each record has its outcome.
    ///
    /// # Errors
    /// The error of the first record, in their order, that was not delivered. Await the deliveries
    /// themselves for all outcomes.
    ///
    /// # Cancel safety
    /// Dropping the future cancels nothing.
    pub async fn all_delivered(self) -> Result<()> {
        let mut first_error = Ok(());
        for run in self.runs {
            let result = match run {
                Run::Refused(error) => Err(error),
                Run::Placed { receipt, .. } if receipt.is_delivered() => continue,
                Run::Placed {
                    receipt,
                    first,
                    count,
                } => receipt.all_delivered(first, count).await,
            };
            if first_error.is_ok() {
                first_error = result;
            }
        }
        first_error
    }

    /// Adds records that were placed next to each other in a batch.
    #[inline]
    pub(crate) fn placed(&mut self, receipt: Arc<Receipt>, first: u32, count: u32) {
        self.count += count as usize;
        if let Some(Run::Placed {
            receipt: last,
            first: start,
            count: length,
        }) = self.runs.last_mut()
            && *start + *length == first
            && Arc::ptr_eq(last, &receipt)
        {
            *length += count;
            return;
        }
        self.runs.push(Run::Placed {
            receipt,
            first,
            count,
        });
    }

    /// Adds a record that was enqueued by itself.
    pub(crate) fn add(&mut self, delivery: Delivery) {
        let (receipt, index) = delivery.into_place();
        self.placed(receipt, index, 1);
    }

    /// Adds a record that was not enqueued.
    pub(crate) fn refused(&mut self, error: Error) {
        self.count += 1;
        self.runs.push(Run::Refused(error));
    }
}

impl Future for Deliveries {
    type Output = Vec<Result<RecordMetadata>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.outcomes.capacity() == 0 {
            this.outcomes.reserve_exact(this.count);
        }
        while let Some(run) = this.runs.get(this.at.0) {
            match run {
                Run::Refused(error) => {
                    this.outcomes.push(Err(error.clone()));
                    this.at = (this.at.0 + 1, 0);
                }
                Run::Placed {
                    receipt,
                    first,
                    count,
                } => {
                    let index = first + this.at.1;
                    let current = &mut this.current;
                    let delivery =
                        current.get_or_insert_with(|| Delivery::new(receipt.clone(), index));
                    let Poll::Ready(outcome) = Pin::new(delivery).poll(cx) else {
                        return Poll::Pending;
                    };
                    this.current = None;
                    this.outcomes.push(outcome);
                    this.at.1 += 1;
                    // If the batch was not split, the outcomes of its other records are known as
                    // well.
                    let rest = index + 1..first + count;
                    for index in rest {
                        let Some(outcome) = receipt.outcome_if_whole(index) else {
                            break;
                        };
                        this.outcomes.push(outcome);
                        this.at.1 += 1;
                    }
                    if this.at.1 == *count {
                        this.at = (this.at.0 + 1, 0);
                    }
                }
            }
        }
        this.count = 0;
        this.runs.clear();
        this.at = (0, 0);
        Poll::Ready(std::mem::take(&mut this.outcomes))
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries")
            .field("records", &self.count)
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}
