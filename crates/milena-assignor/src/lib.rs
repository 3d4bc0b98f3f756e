//! Assignors of classic consumer groups. They divide the partitions of a group among its members.
//!
//! - [`Assignor`] is the trait that each of them implements.
//! - [`RangeAssignor`], [`RoundRobinAssignor`], [`StickyAssignor`] and
//!   [`CooperativeStickyAssignor`] are Kafka's own. [`built_in`] and [`named`] find them by name.
//! - [`GroupMember`] and [`GroupTopics`] are what an assignor is given.
//! - [`check`] and [`withhold`] are what the leader of a group does to an assignment before it
//!   sends it.
//!
//! Everything here is pure. Nothing opens a connection or reads a clock.

mod assignor;
mod check;
mod member;
mod named;
mod range;
mod round_robin;
mod sticky;
mod topics;

pub use assignor::{Assignor, RebalanceProtocol};
pub use check::{check, withhold};
pub use member::{GroupAssignment, GroupMember};
pub use named::{built_in, named};
pub use range::RangeAssignor;
pub use round_robin::RoundRobinAssignor;
pub use sticky::{CooperativeStickyAssignor, StickyAssignor};
pub use topics::GroupTopics;
