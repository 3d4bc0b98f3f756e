//! Batch. Calls a handler with several records at once, inside the same layers as any other
//! handler.
//!
//! Each record goes through its layers alone, gets its own answer, and is retried, dead-lettered or
//! counted alone. The records only meet at the handler. The consumer's order decides which records
//! meet:
//!
//! - **By partition** (the default) a lane hands over the records in its partition's queue, up to
//!   the size of a batch, and waits a short time for more. The order is kept. A record to be
//!   retried is retried alone before the records behind it. These come afterwards, and their
//!   attempt count does not change. If an attempt at several records fails and the failing one is
//!   not known, it settles none of them and counts for none. This holds for any error, a panic or a
//!   timeout. The first record is then tried alone, and then more at a time. Only a failure of a
//!   single record counts for that record. So the bad record is found, and no other becomes a dead
//!   letter because of it.
//! - **By key, or unordered**, a batch gathers the records that lanes have at the same time, one of
//!   each lane. Give the consumer many lanes for large batches. A record that fails delays no
//!   other. If several records fail together, the bad one is found in the same way, within one
//!   attempt. Leave the attempt time for more than one call of the handler. A timeout of several
//!   records settles none of them and counts for none. Each is retried alone, all at the same time.
//!   A record that then takes too long is the slow one, and the timeout counts for it.
//!
//! The handler takes a `Vec` of any extractor, or of a tuple of several. If extraction fails for a
//! record, that record is answered alone, and the handler does not get it. The handler answers for
//! all records with a `Vec` of one answer for each, or with
//! [`BatchError::failed_from`](milena_core::BatchError::failed_from). In the latter case the
//! records before the failed one are done, that one failed, and the records behind it are given to
//! the handler again without it. So one record never uses up the attempts of others. An index
//! outside the batch says nothing about any record. It is an error for all of them, like any other
//! error.
//!
//! When the attempt of one record is ended, for example by a timeout, the whole batch ends, so no
//! attempt goes on unnoticed. A panic is handled like any other error.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Key, Outcome, ProcessError, Text};
//! use milena_middleware::batch::Batching;
//! use milena_middleware::{RetryLayer, Stack};
//!
//! async fn store(orders: Vec<(Key, Text)>) -> Result<Vec<Outcome>, ProcessError> {
//!     println!("storing {} orders at once", orders.len());
//!     Ok(orders.iter().map(|_| Outcome::Ack).collect())
//! }
//!
//! let stack = Stack::new()
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .batch(Batching::up_to(500).within(Duration::from_millis(5)), store);
//! # let _ = stack;
//! ```

mod gather;
mod run;
mod service;

use std::time::Duration;

pub use service::{BatchFuture, BatchService};

pub(crate) use gather::later;

/// The limits of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    /// The most records of a batch. At least 1.
    pub(crate) most: usize,
    /// The time that the first record waits for others.
    pub(crate) within: Duration,
}

impl Batching {
    /// Creates limits of up to `records` records, at least 1, that arrive within 5 ms.
    #[must_use]
    pub fn up_to(records: usize) -> Self {
        Self {
            most: records.max(1),
            within: Duration::from_millis(5),
        }
    }

    /// Sets how long the first record of a batch waits for others. Default 5 ms. With zero, a batch
    /// holds the records that are ready at once.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}
