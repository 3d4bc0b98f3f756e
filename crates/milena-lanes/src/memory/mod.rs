//! A source in memory. It is a log of records, each partition with a feed of its own.

mod partition;
mod reader;
mod sender;
mod source;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Capabilities, Offset, ProducerRecord, Result, RouteInfo, TopicPartition};
use tokio::time::timeout;

pub use reader::MemoryReader;
pub use sender::MemorySender;
pub use source::{MemoryFeed, MemorySource};

use crate::end::ShutdownHandle;
use crate::feed::Pause;
use crate::rules::Rules;
use crate::source::{Drive, Feed, Lanes, Source};

/// A source of records in memory, for a handler that runs without a broker.
///
/// Records get offsets like in a log, separate for each partition. A record without a partition
/// goes to partition 0. The lanes are those of a consumer, with the same order, retries, holds and
/// gates. A run ends once all records are done and no [sender](Self::sender) is left.
///
/// ```
/// use milena_core::{Capabilities, Offset, Order, ProducerRecord};
/// use milena_lanes::{InMemory, Rules};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # runtime.block_on(async {
/// let mut rules = Rules::default();
/// rules.order = Order::Unordered(4);
/// let source = InMemory::new(rules);
/// let sender = source.sender();
/// tokio::spawn(async move {
///     for number in 0..100 {
///         sender.send(ProducerRecord::new("orders").value(number.to_string())).await;
///     }
/// });
/// let report = milena_lanes::run(&source, |_: Offset| async {}).await?;
/// assert_eq!(report.processed, 100);
/// # Ok::<_, milena_core::Error>(())
/// # })?;
/// # Ok::<_, milena_core::BoxError>(())
/// ```
#[derive(Clone)]
pub struct InMemory {
    /// The log. Its feeds refer to it too.
    source: Arc<MemorySource>,
    /// The time that handlers have to finish their records when the run is shut down.
    drain_timeout: Duration,
}

impl InMemory {
    /// Creates an empty log, whose lanes follow these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self::limited(rules, Capabilities::all())
    }

    /// Creates an empty log that claims to do only these things. Runs that need more are refused,
    /// as by a source that really cannot do more.
    #[must_use]
    pub fn limited(rules: Rules, can: Capabilities) -> Self {
        Self {
            source: Arc::new(MemorySource::new(rules, can)),
            drain_timeout: Duration::from_secs(30),
        }
    }

    /// Creates a log of these records, whose lanes follow the default rules.
    pub fn of<I>(records: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<ProducerRecord>,
    {
        Self::new(Rules::default()).with(records)
    }

    /// Appends records. Call this before the run, and use a [sender](Self::sender) during it.
    #[must_use]
    pub fn with<I>(self, records: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<ProducerRecord>,
    {
        for record in records {
            self.source.append(record.into(), None);
        }
        self
    }

    /// Sets the time that handlers have to finish their records when the run is shut down. Default
    /// 30 s.
    #[must_use]
    pub fn drain_timeout(mut self, time: Duration) -> Self {
        self.drain_timeout = time;
        self
    }

    /// Returns a sender that appends records. The run goes on while it or a clone of it exists.
    #[must_use]
    pub fn sender(&self) -> MemorySender {
        MemorySender::new(&self.source)
    }

    /// Returns a handle that shuts the run down.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.source.shutdown_handle()
    }

    /// Returns the offset that a consumer would commit, which is the lowest one that is not
    /// settled. `None` if the partition has no record.
    #[must_use]
    pub fn committable(&self, partition: &TopicPartition) -> Option<Offset> {
        self.source.committable(partition)
    }

    /// Returns the pauses of all partitions, with holder, reason and age.
    #[must_use]
    pub fn pauses(&self) -> Vec<Pause> {
        self.source.pauses()
    }
}

impl Drive for InMemory {
    type Source = MemorySource;

    fn source(&self) -> &Arc<MemorySource> {
        &self.source
    }

    async fn prepare(&self, _: &[RouteInfo]) -> Result<()> {
        self.source.rules().check()
    }

    fn begin(&self, lanes: Arc<dyn Lanes<MemoryFeed>>) -> Result<()> {
        self.source.begin(lanes)
    }

    async fn until_end(&self) {
        self.source.until_end().await;
    }

    async fn close(&self) {
        let feeds = self.source.feeds();
        for feed in &feeds {
            feed.stop();
        }
        let drained = async {
            for feed in &feeds {
                feed.dispatch().drained().await;
            }
        };
        tokio::select! {
            biased;
            () = self.source.at_once() => {}
            _ = timeout(self.drain_timeout, drained) => {}
        }
        self.abort();
    }

    fn abort(&self) {
        self.source.abort();
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory")
            .field("source", &self.source)
            .field("drain_timeout", &self.drain_timeout)
            .finish()
    }
}
