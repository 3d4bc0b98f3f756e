//! Delayed retry: what failed goes to a retry topic and is tried again later, while the records behind it go on.
//!
//! Retry in place keeps the order of a lane and holds it up; this gives the order up and holds nothing up. A record whose attempts in place
//! are used up is written to the retry topic of the next delay (`orders.retry.5s`, then `orders.retry.1m`, …), and its offset completes
//! when a broker has acknowledged that. Each retry topic has one fixed delay, so that its records fall due in their order: the consumer
//! holds the partition, paused, until the first is due. When the last delay has not helped, the error goes outwards, to the dead letter
//! topic.
//!
//! Only what may pass by itself goes to a retry topic: [classes](milena_core::ErrorClass::is_retriable) that are retriable, and a handler's
//! [`Retry`](milena_core::Outcome::Retry). Key, value and headers stay; these headers come with it:
//!
//! | Header | Value |
//! |---|---|
//! | `milena.retry.round` | which delay this is, counted from 1, a decimal number |
//! | `milena.retry.due` | when it is to be tried again, in milliseconds since 1970 |
//! | `milena.origin.*`, `milena.cause.*`, `milena.attempts` | as of a [dead letter](crate::dead_letter) |
//!
//! A handler sees the record with its first timestamp, in the topic that it was read from, and its attempts counted on. The consumer has
//! to read the retry topics too, and they have to be there ([`RetryTopics::all_of`]); a [`Router`](crate::Router) sends their records to
//! the route of the topic that they belong to. Groups that read the same topic need [names of their own](RetryTopics::for_group).
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, ProducerRecord, Text};
//! use milena_middleware::{DeadLetterLayer, DelayedRetryLayer, RetryLayer, RetryTopics, Stack};
//! # use milena_core::{Error, RecordMetadata};
//! # let producer = tower::service_fn(|letter: ProducerRecord| async move {
//! #     Ok::<_, Error>(RecordMetadata { topic: letter.topic, partition: 0.into(), offset: None, timestamp: None })
//! # });
//!
//! let retries = RetryTopics::new([Duration::from_secs(5), Duration::from_secs(60), Duration::from_secs(600)]);
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
