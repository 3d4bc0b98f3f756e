//! The test kit. Runs handlers without a broker, or a client and a broker in one process, with the
//! clock paused.
//!
//! Use a [`Trial`] to test a handler with its layers without a broker. The test feeds records and
//! gets their results. Dead letters and emitted records are in a [`Sink`]. Use a [`Kit`] to test a
//! whole program. It holds an embedded broker in memory and a client connected to it. Use both with
//! tokio's paused clock, so that timeouts, backoffs and session timeouts take no time and are
//! exact.
//!
//! ```
//! use milena_client::core::{Outcome, ProducerRecord, Text};
//! use milena_client::middleware::Stack;
//! use milena_test::{Kit, Trial};
//!
//! async fn bill(Text(order): Text) -> Outcome {
//!     if order.is_empty() { Outcome::skip("nothing to bill") } else { Outcome::Ack }
//! }
//!
//! # let mut builder = tokio::runtime::Builder::new_current_thread();
//! # let runtime = builder.enable_time().start_paused(true).build()?;
//! # runtime.block_on(async {
//! // In a test: #[tokio::test(start_paused = true)]
//! let order = ProducerRecord::new("orders").key("customer-7").value("two stamps");
//! let trial = Trial::new(Stack::new().handler(bill))?;
//! assert_eq!(trial.feed(order.clone()).await.outcome(), &Outcome::Ack);
//!
//! let kit = Kit::builder().topic("orders", 2).start().await?;
//! let running = kit.run("billing", ["orders"], Stack::new().handler(bill))?;
//! let sent = kit.feed(order).await?;
//! assert_eq!(running.until_settled(&sent).await.outcome(), &Outcome::Ack);
//! kit.until_committed("billing", "orders", 1).await;
//! let report = running.stop().await?;
//! assert_eq!(report.processed, 1);
//! # Ok::<_, milena_client::core::BoxError>(())
//! # })?;
//! # Ok::<_, milena_client::core::BoxError>(())
//! ```

mod kit;
mod process;
mod processed;
mod running;
mod sink;
mod trial;
mod watched;

pub use kit::{Kit, KitBuilder};
pub use process::process;
pub use processed::{Failed, Processed};
pub use running::Running;
pub use sink::Sink;
pub use trial::Trial;
