//! Hold: an operator's gate, by which a person or another part of the program holds a route back.
//!
//! While the gate is closed the route is not ready: no attempt begins, and the consumer pauses the partitions by the gate's name, until
//! it is opened again. What has begun goes on.
//!
//! ```
//! use milena_core::{Gate, Text};
//! use milena_middleware::Stack;
//!
//! let maintenance = Gate::new("operator:maintenance");
//! let stack = Stack::new().gate(maintenance.clone()).handler(async |_: Text| ());
//! maintenance.close("the warehouse is moving"); // from anywhere
//! maintenance.open();
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::HoldLayer;
pub use service::Hold;
