//! Dead letter. Writes a record that no attempt can process to a topic of its own, with its cause.
//!
//! A record becomes a dead letter if an error of any class but fatal gets past retry, or if the
//! handler answers [`Outcome::DeadLetter`](milena_core::Outcome::DeadLetter). The source record is
//! done only when a broker has acknowledged the dead letter, so none is lost in between.
//!
//! While no letter can be written, lanes wait, and a [`Gate`](milena_core::Gate) named
//! `dead-letter:TOPIC` is closed. Partitions then pause, and the trouble is visible. If only some
//! letters cannot be written, for example those for one partition, only their lanes wait. The gate
//! stays open, and health and metrics name the partitions of these records.
//!
//! A letter that is refused because of its content is made smaller, and in the end is a
//! [stub](DeadLetterLayer::on_refused) without the value. An invalid topic name or a closed
//! producer stops the lane. The topic must exist before the first record is processed. Otherwise
//! the run ends with an error that tells how to create it. A record of the dead letter topic itself
//! is never written to it again. The layer returns its error instead.
//!
//! Key, value and headers stay as they were. The timestamp is the time of writing, because
//! retention could delete the letter of an old record at once. The layer adds these headers:
//!
//! | Header | Value |
//! |---|---|
//! | `milena.origin.topic` | the topic that the record first came from, kept through replays |
//! | `milena.origin.partition` | its partition there, as decimal text |
//! | `milena.origin.offset` | its offset there, as decimal text |
//! | `milena.origin.timestamp` | its timestamp there, in milliseconds since 1970, if it had one |
//! | `milena.cause.class` | the error's [class](milena_core::ErrorClass::name), or `rejected` |
//! | `milena.cause.message` | the error and its causes on one line, at most 1,024 bytes |
//! | `milena.cause.dependency` | the dependency that failed, if the error names one |
//! | `milena.origin.group` | the group, if [set](DeadLetterLayer::group) |
//! | `milena.attempts` | the number of attempts, as decimal text |
//! | `milena.deaths` | the number of times that the record became a dead letter, as decimal text |
//! | `milena.sent.to` | the topic of the letter, which exposes headers copied to another topic |
//! | `milena.stub` | that the value was left out and why, if the topic refused the whole letter |
//!
//! [By option](DeadLetterLayer::dialect) the layer adds the same details in the headers of another
//! [`Dialect`]. [`Letter`] reads all dialects. A letter that is too large is written again without
//! the texts, then without the value. Headers of retry topics are removed.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), milena_core::BoxError> {
//! use milena_core::{Incoming, Outcome, ProcessError, ProducerRecord, RecordMetadata};
//! use milena_middleware::{DeadLetterLayer, Stack};
//! # use milena_core::{ConsumerRecord, Error, Routes};
//! # use tower::ServiceExt;
//!
//! // A sink is a producer, or any service that writes records.
//! let sink = tower::service_fn(|letter: ProducerRecord| async move {
//!     assert_eq!(letter.record.headers.text("milena.cause.class"), Some("poison"));
//!     let (topic, partition) = (letter.topic, 0.into());
//!     Ok::<_, Error>(RecordMetadata { topic, partition, offset: None, timestamp: None })
//! });
//! let stack = Stack::new()
//!     .layer(DeadLetterLayer::new("orders.dead", sink))
//!     .handler(async || Err::<(), _>(ProcessError::poison("no order")));
//! let record = ConsumerRecord::new("orders", 0, 7);
//! let outcome = stack.service(0).oneshot(Incoming::new(record)).await?;
//! assert!(matches!(outcome, Outcome::DeadLettered(_)));
//! # Ok(())
//! # }
//! ```

mod dialect;
mod layer;
mod letter;
mod reader;
mod service;

pub use dialect::Dialect;
pub use layer::{DeadLetterLayer, Refused};
pub use reader::Letter;
pub use service::{DeadLetter, DeadLetterFuture};
