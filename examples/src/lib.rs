//! The order system. Shops place orders. The three handlers of one router validate, pay and ship
//! them, over five topics.
//!
//! Some payments fail and are retried, the payment gateway is down for a while, and some orders are
//! broken and end as dead letters. No order is lost in any case, which the audit at the end proves.

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
