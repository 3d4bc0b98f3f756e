//! Batch: a handler that takes several records at once, inside of the same layers as any other.
//!
//! Each record has its own way: it goes through its layers alone, gets its own answer, and is retried, dead-lettered or counted alone; the
//! records only meet at the handler. Who meets depends on the consumer's order:
//!
//! - **By partition** (the default) a lane hands over what is in its partition's queue, up to the number of a batch, and waits a short time for
//!   more. The order is kept: what is to be tried again is tried again before those behind it, alone, and only then they come, at the same
//!   attempt as before. Where an attempt at several records fails without saying which was at fault, by whatever error, a panic or a timeout, it
//!   settles none of them and counts for none: the first is tried alone, and then more at a time. Only an attempt at one record is its own. So
//!   the bad one is found, and no other becomes a dead letter for it.
//! - **By key, or unordered**, the records that lanes have at the same time are gathered, one of each lane: give the consumer many lanes for large
//!   batches. One that fails holds no other up. A failure for several is found out in
//!   the same way, within one attempt: give it time for more than one call of the handler. What a timeout ends has taken too long for each.
//!
//! The handler takes a `Vec` of any extractor, or of a tuple of several. A record from which it cannot be made is answered alone, and the
//! handler does not see it. It answers for all at once, with a `Vec` of one answer for each, or with
//! [`BatchError::failed_from`](milena_core::BatchError::failed_from): then the records before are done, that one failed, and those behind it
//! are given to the handler again without it, so that one record never uses up the attempts of others. An index that the batch does not have
//! says nothing about any record, and is an error for all, as any other error is.
//!
//! When an attempt of one record is ended, by a timeout say, the whole batch is, and no attempt goes on unseen. A panic is an error like others.
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

/// How many records a batch takes, and for how long it waits for them.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    pub(crate) most: usize,
    pub(crate) within: Duration,
}

impl Batching {
    /// Up to so many records, at least 1, that come within 5 ms.
    #[must_use]
    pub fn up_to(records: usize) -> Self {
        Self {
            most: records.max(1),
            within: Duration::from_millis(5),
        }
    }

    /// How long the first record of a batch waits for others. Default 5 ms; zero takes what is ready at once.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}
