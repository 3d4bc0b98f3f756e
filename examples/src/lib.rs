//! The order system: shops place orders; they are validated, paid and shipped by the three handlers of one router, over five topics.
//!
//! Some payments fail and are retried, the payment gateway is down for a while, and some orders are broken and end as dead letters.
//! Whatever happens, no order is lost: the audit at the end proves it.

pub mod audit;
pub mod gateway;
pub mod order;
pub mod progress;
pub mod report;
pub mod settings;
pub mod shop;
pub mod stages;
pub mod tally;
pub mod topics;
pub mod watch;
