//! Dead letter: a record that no attempt will ever get through is written to a topic of its own, with its cause.
//!
//! Written down are errors that got past retry, of any class but fatal, and [`Outcome::DeadLetter`](milena_core::Outcome::DeadLetter).
//! The source record is done only when a broker has acknowledged the dead letter: nothing is lost between them. While nothing can be
//! written, lanes wait, and a [`Gate`](milena_core::Gate) named `dead-letter:TOPIC` is closed, so that partitions pause and the
//! trouble is seen. Where only some letters cannot be written, by the trouble of one partition say, theirs are the only lanes that wait: the
//! gate stays open, and health and metrics name their partitions. A letter that its topic refuses for what it is gets smaller, and in the
//! end is a [stub](DeadLetterLayer::on_refused) without the value; a topic that cannot be, or a closed producer, stops the lane. The topic
//! has to be there before the first record, else the run ends with an error that says how to make it. A record that comes from the dead letter topic itself is never written to it again: its error goes outwards.
//!
//! Key, value and headers stay as they were; the timestamp is that of the writing, since retention would delete a letter of an old record
//! at once. These headers come with it:
//!
//! | Header | Value |
//! |---|---|
//! | `milena.origin.topic` | where it came from at first; kept when a letter was replayed and failed again |
//! | `milena.origin.partition` | its partition there, a decimal number |
//! | `milena.origin.offset` | its offset there, a decimal number |
//! | `milena.origin.timestamp` | its timestamp there, in milliseconds since 1970, where it had one |
//! | `milena.cause.class` | the [class](milena_core::ErrorClass::name) of the error, or `rejected` for [`Outcome::DeadLetter`](milena_core::Outcome::DeadLetter) |
//! | `milena.cause.message` | the error and its causes on one line, at most 1,024 bytes |
//! | `milena.cause.dependency` | the dependency that failed, where the error names one |
//! | `milena.origin.group` | the group, where the layer was told it |
//! | `milena.attempts` | how many attempts there were, a decimal number |
//! | `milena.deaths` | how many times it became a dead letter, a decimal number |
//! | `milena.sent.to` | the topic of the letter: headers that a handler copies into a record of another topic say nothing about that one |
//! | `milena.stub` | that the value was left out, and why, where the topic did not take it |
//!
//! [By option](DeadLetterLayer::dialect) it says the same in the headers of another [`Dialect`] too; [`Letter`] reads them all. A letter
//! that the broker finds too large is written again without the words, then without the value. What only retry topics need to know is removed.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), milena_core::BoxError> {
//! use milena_core::{Incoming, Outcome, ProcessError, ProducerRecord, RecordMetadata};
//! use milena_middleware::{DeadLetterLayer, Stack};
//! # use milena_core::{ConsumerRecord, Error, Routes};
//! # use tower::ServiceExt;
//!
//! // A producer is such a sink; so is any service that writes records.
//! let sink = tower::service_fn(|letter: ProducerRecord| async move {
//!     assert_eq!(letter.record.headers.text("milena.cause.class"), Some("poison"));
//!     Ok::<_, Error>(RecordMetadata { topic: letter.topic, partition: 0.into(), offset: None, timestamp: None })
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
mod replay;
mod service;

pub use dialect::Dialect;
pub use layer::{DeadLetterLayer, Refused};
pub use reader::Letter;
pub use service::{DeadLetter, DeadLetterFuture};
