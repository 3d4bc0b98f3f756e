//! Emit. Sends the records that a handler emits, and returns the handler's answer once a broker has
//! them.
//!
//! A handler takes an [`Emitter`](milena_core::Emitter) and puts records into it. If the handler
//! answers [`Ack`](milena_core::Outcome::Ack) or [`Skip`](milena_core::Outcome::Skip), the records
//! are sent in their order. After any other answer they are dropped. If one cannot be written, the
//! attempt fails. Inside a retry layer, the handler then runs again and emits new records. So each
//! record is written at least once. It is written more than once if a later one failed, or if the
//! process ended before the offset was committed.
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
//! // A sink is a producer, or any service that writes records.
//! let sink = tower::service_fn(|record: ProducerRecord| async move {
//!     assert_eq!(record.topic, "bills");
//!     let (topic, partition) = (record.topic, 0.into());
//!     Ok::<_, Error>(RecordMetadata { topic, partition, offset: None, timestamp: None })
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
