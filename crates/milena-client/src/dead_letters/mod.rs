//! Reads the letters of a dead letter topic, exports them, and sends them back to be processed
//! again.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> milena_core::Result<()> {
//! use milena_client::Client;
//! use milena_client::dead_letters::LetterFilter;
//! # use milena_core::ProducerRecord;
//!
//! # let broker = milena_broker::Broker::builder().topic("orders", 1).topic("orders.dead", 1);
//! # let broker = broker.start().await?;
//! # let client = Client::builder()
//! #     .bootstrap(broker.bootstrap())
//! #     .connector(broker.dialer())
//! #     .connect()
//! #     .await?;
//! # let letter = ProducerRecord::new("orders.dead")
//! #     .value("two stamps")
//! #     .header("milena.origin.topic", "orders")
//! #     .header("milena.cause.class", "timeout");
//! # client.producer().build()?.send(letter).await?;
//! let letters = client.dead_letters("orders.dead");
//! for (origin, class, count) in letters.summary(&LetterFilter::new()).await? {
//!     println!("{origin}: {count} × {class}");
//! }
//!
//! let timeouts = LetterFilter::new().class("timeout");
//! let planned = letters.replay(timeouts.clone()).dry_run().run().await?;
//! let done = letters.replay(timeouts).rate(100).run().await?;
//! assert_eq!(planned.replayed, done.replayed);
//! # assert_eq!(done.replayed, 1);
//! # client.close().await;
//! # broker.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod export;
mod filter;
mod found;
mod marks;
mod replay;
mod same;
mod scan;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use milena_consumer::StartAt;
use milena_core::{Error, ErrorKind, Offset, Partition, Result, TopicName, TopicPartition};
use tokio::time::timeout;

use crate::client::Client;

pub use filter::LetterFilter;
pub use found::FoundLetter;
pub use replay::{Replay, ReplayReport};
pub use scan::LetterScan;

/// The letters of a dead letter topic, in any dialect.
///
/// Letters stay until retention or [`delete_records`](milena_admin::Admin::delete_records) removes
/// them. A replay writes marks to the same topic. These are records with the header
/// `milena.replayed`, which name the letters that were sent back, so that another replay does not
/// send them again.
#[derive(Clone)]
pub struct DeadLetters {
    /// The client that reads and writes the letters.
    client: Client,
    /// The dead letter topic.
    topic: TopicName,
}

impl Client {
    /// Returns the letters of a dead letter topic, to read them and to send them back.
    #[must_use]
    pub fn dead_letters(&self, topic: impl Into<TopicName>) -> DeadLetters {
        DeadLetters::new(self.clone(), topic.into())
    }
}

impl DeadLetters {
    fn new(client: Client, topic: TopicName) -> Self {
        Self { client, topic }
    }

    /// Returns the dead letter topic.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Reads the letters that are in the topic now and pass the filter, one by one. The letters of
    /// a partition come in its order.
    ///
    /// # Errors
    /// An error if the topic does not exist, or if its offsets cannot be read.
    pub async fn scan(&self, filter: LetterFilter) -> Result<LetterScan> {
        LetterScan::start(&self.client, &self.topic, filter).await
    }

    /// Returns up to `most` of the letters that are in the topic now and pass the filter.
    ///
    /// # Errors
    /// The same as [`scan`](Self::scan) and [`LetterScan::next`].
    pub async fn list(&self, filter: &LetterFilter, most: usize) -> Result<Vec<FoundLetter>> {
        let mut scan = self.scan(filter.clone()).await?;
        let mut found = Vec::new();
        while found.len() < most {
            match scan.next().await? {
                Some(letter) => found.push(letter),
                None => break,
            }
        }
        Ok(found)
    }

    /// Returns the letter at `offset`, or `None` if there is none. Waits up to 30 s for an offset
    /// at the end of the partition.
    ///
    /// # Errors
    /// The same as [`scan`](Self::scan).
    pub async fn show(
        &self,
        partition: impl Into<Partition>,
        offset: impl Into<Offset>,
    ) -> Result<Option<FoundLetter>> {
        let (place, offset) = (TopicPartition::new(&self.topic, partition), offset.into());
        let consumer = self.client.assigned_consumer().build()?;
        consumer.assign([(place.clone(), StartAt::Offset(offset))]);
        let received = timeout(scan::PATIENCE, consumer.recv()).await;
        consumer.close().await;
        match received {
            // No record arrives for an offset at the end.
            Err(_) => Ok(None),
            Ok(record) => {
                let record = record?;
                Ok((record.offset == offset).then(|| FoundLetter::new(record)))
            }
        }
    }

    /// Counts the letters by the topic that they came from and the class of their error. A detail
    /// that a letter does not name is `unknown`.
    ///
    /// # Errors
    /// The same as [`list`](Self::list).
    pub async fn summary(&self, filter: &LetterFilter) -> Result<Vec<(String, String, u64)>> {
        let mut scan = self.scan(filter.clone()).await?;
        let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
        while let Some(found) = scan.next().await? {
            let letter = found.letter.as_ref();
            let origin = letter.map_or_else(unknown, |letter| letter.topic.to_string());
            let class = letter.and_then(|letter| letter.class.clone());
            *counts
                .entry((origin, class.unwrap_or_else(unknown)))
                .or_default() += 1;
        }
        let flat = |((origin, class), count)| (origin, class, count);
        Ok(counts.into_iter().map(flat).collect())
    }

    /// Writes the letters that pass the filter as lines of JSON. Returns the number of letters.
    ///
    /// Keys, values and headers in UTF-8 are texts. Others are objects with their bytes as
    /// `base64`.
    ///
    /// # Errors
    /// The same as [`list`](Self::list), and [`ErrorKind::State`] if `out` cannot be written.
    pub async fn export(
        &self,
        filter: &LetterFilter,
        out: &mut (impl Write + Send),
    ) -> Result<u64> {
        let mut scan = self.scan(filter.clone()).await?;
        let mut count = 0;
        while let Some(letter) = scan.next().await? {
            let written = export::line(&letter).and_then(|line| out.write_all(&line));
            written.map_err(|cause| {
                Error::new(ErrorKind::State, "the export cannot be written").with_source(cause)
            })?;
            count += 1;
        }
        Ok(count)
    }

    /// Creates a replay, which sends the letters that pass the filter back to be processed again.
    /// Nothing happens before [`Replay::run`].
    pub fn replay(&self, filter: LetterFilter) -> Replay {
        Replay::new(self.clone(), filter)
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeadLetters").field(&self.topic).finish()
    }
}
