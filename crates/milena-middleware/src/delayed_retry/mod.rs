//! Delayed retry. Sends a failed record to a retry topic to be tried again later, while the records
//! behind it go on.
//!
//! Retry in place keeps the order of a lane and delays the records behind. Delayed retry gives up
//! the order and delays no other record. A record whose attempts in place are used up is written to
//! the retry topic of the next delay (`orders.retry.5s`, then `orders.retry.1m`, …). Its offset
//! completes when a broker has acknowledged the write. Each retry topic has one fixed delay, so its
//! records fall due in their order. The consumer pauses the partition until the first is due. After
//! the last delay, the layer returns the error, and the dead letter layer writes the record.
//!
//! Only records that may succeed later go to a retry topic. These are errors of a [retriable
//! class](milena_core::ErrorClass::is_retriable), and a handler's
//! [`Retry`](milena_core::Outcome::Retry). Key, value and headers stay. The layer adds these
//! headers:
//!
//! | Header | Value |
//! |---|---|
//! | `milena.retry.round` | the number of this delay, counted from 1, as decimal text |
//! | `milena.retry.due` | the time of the next try, in milliseconds since 1970 |
//! | `milena.origin.*`, `milena.cause.*` | the same as in a [dead letter](crate::dead_letter) |
//! | `milena.attempts` | the same as in a [dead letter](crate::dead_letter) |
//!
//! A handler sees the record with its original timestamp. The topic is the retry topic that the
//! record was read from. The count of attempts continues. The consumer must read the retry topics
//! too, and they must exist ([`RetryTopics::all_of`]). A [`Router`](crate::Router) sends their
//! records to the route of the base topic. Groups that read the same topic need [retry topics of
//! their own](RetryTopics::for_group).
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, ProducerRecord, Text};
//! use milena_middleware::{DeadLetterLayer, DelayedRetryLayer, RetryLayer, RetryTopics, Stack};
//! # use milena_core::{Error, RecordMetadata};
//! # let producer = tower::service_fn(|letter: ProducerRecord| async move {
//! #     let (topic, partition) = (letter.topic, 0.into());
//! #     Ok::<_, Error>(RecordMetadata { topic, partition, offset: None, timestamp: None })
//! # });
//!
//! let retries = RetryTopics::new([5, 60, 600].map(Duration::from_secs));
//! let topics = retries.all_of("orders"); // for `consumer.topics(…)`
//! assert_eq!(topics, ["orders", "orders.retry.5s", "orders.retry.1m", "orders.retry.10m"]);
//!
//! let stack = Stack::new()
//!     .layer(DeadLetterLayer::new("orders.dead", producer.clone()))
//!     .layer(DelayedRetryLayer::new(retries, producer))
//!     .layer(RetryLayer::new(Backoff::default()).max_attempts(3)) // in place, before each delay
//!     .handler(async |Text(order): Text| println!("billing {order}"));
//! # let _ = stack;
//! ```

mod forward;
mod layer;
mod service;
mod topics;

pub use layer::DelayedRetryLayer;
pub use service::DelayedRetry;
pub use topics::RetryTopics;
