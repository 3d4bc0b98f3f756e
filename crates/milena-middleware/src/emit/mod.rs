//! Emit: sends the records that a handler makes, and lets its answer pass when a broker has them.
//!
//! A handler asks for an [`Emitter`](milena_core::Emitter) and puts records into it. They are sent in their order when it has answered
//! [`Ack`](milena_core::Outcome::Ack) or [`Skip`](milena_core::Outcome::Skip), and dropped after any other answer. If one cannot be written
//! the attempt has failed: inside of a retry layer the handler runs again and makes them anew. So each is written at least once, and more
//! than once where a later one failed or the process ended before the offset was committed.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), milena_core::BoxError> {
//! use milena_core::{Emitter, Incoming, Outcome, ProducerRecord, RecordMetadata, Text};
//! use milena_middleware::{EmitLayer, Stack};
//! # use milena_core::{ConsumerRecord, Error, Routes};
//! # use tower::ServiceExt;
//!
//! async fn bill(Text(order): Text, bills: Emitter) {
//!     bills.emit(ProducerRecord::new("bills").value(format!("for {order}")));
//! }
//!
//! // A producer is such a sink; so is any service that writes records.
//! let sink = tower::service_fn(|record: ProducerRecord| async move {
//!     assert_eq!(record.topic, "bills");
//!     Ok::<_, Error>(RecordMetadata { topic: record.topic, partition: 0.into(), offset: None, timestamp: None })
//! });
//! let stack = Stack::new().layer(EmitLayer::new(sink)).handler(bill);
//! let mut record = ConsumerRecord::new("orders", 0, 7);
//! record.value = Some("two stamps".into());
//! assert_eq!(stack.service(0).oneshot(Incoming::new(record)).await?, Outcome::Ack);
//! # Ok(())
//! # }
//! ```

mod layer;
mod service;

pub use layer::EmitLayer;
pub use service::Emit;
