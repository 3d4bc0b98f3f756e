//! Hold. An operator or another part of the program stops a route with a gate.
//!
//! While the gate is closed, the route is not ready. No attempt begins, and the consumer pauses the
//! partitions by the gate's name until the gate opens. Attempts that have begun go on.
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
