//! The parts that every feed is made of. Sources own them and combine them as they need.

mod at_work;
mod dispatch;
mod pauses;
mod tracker;

pub(crate) use at_work::LaneAtWork;
pub use at_work::{LaneSnapshot, Phase};
pub use dispatch::Dispatch;
pub use pauses::{Pause, PauseHolder, Pauses};
pub use tracker::{OffsetTracker, Ticket};
