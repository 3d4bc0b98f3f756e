//! Filter. Passes over records that the handler does not want.
//!
//! A record that is filtered out is [skipped](milena_core::Outcome::Skip) with a reason. Its offset
//! is committed, and it counts as skipped.
//!
//! ```
//! use milena_core::Text;
//! use milena_middleware::{FilterLayer, Stack};
//!
//! let stack = Stack::new()
//!     .layer(FilterLayer::new("not for the EU", |record| {
//!         record.headers.text("region") == Some("eu")
//!     }))
//!     .handler(async |Text(order): Text| println!("billing {order}"));
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::FilterLayer;
pub use service::Filter;
