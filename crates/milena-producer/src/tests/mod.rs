//! The producer over a cluster in memory that fails as scripted. The clock is paused.

mod chaos;
mod clock;
mod limits;
pub(crate) mod sending;
mod spread;
pub(crate) mod stub;
