//! The test kit: handlers without a broker, and client and broker in one process, with the clock paused.
//!
//! A handler with its layers is tested by [`process`], without any broker. A whole program is tested in a [`Kit`]: an embedded broker in
//! memory and a client on it. Both want tokio's paused clock, so that timeouts, backoffs and session timeouts cost no time.
//!
//! ```
//! use milena_client::core::{ConsumerRecord, Outcome, Text};
//! use milena_client::middleware::Stack;
//! use milena_test::{Kit, process};
//!
//! async fn bill(Text(order): Text) -> Outcome {
//!     if order.is_empty() { Outcome::skip("nothing to bill") } else { Outcome::Ack }
//! }
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
//! # runtime.block_on(async {
//! // In a test: #[tokio::test(start_paused = true)]
//! let mut record = ConsumerRecord::new("orders", 0, 0);
//! record.value = Some("two stamps".into());
//! assert_eq!(process(&Stack::new().handler(bill), record).await?, Outcome::Ack);
//!
//! let kit = Kit::builder().topic("orders", 2).start().await?;
//! let running = kit.run("billing", ["orders"], Stack::new().handler(bill))?;
//! kit.send("orders", "customer-7", "two stamps").await?;
//! kit.until_committed("billing", "orders", 1).await;
//! let report = running.stop().await?;
//! assert_eq!(report.processed, 1);
//! # Ok::<_, milena_client::core::BoxError>(())
//! # })?;
//! # Ok::<_, milena_client::core::BoxError>(())
//! ```

mod kit;
mod process;
mod running;

pub use kit::{Kit, KitBuilder};
pub use process::process;
pub use running::Running;
