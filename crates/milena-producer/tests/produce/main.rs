//! The producer against the in-process broker, in memory, with the clock paused.

#[path = "../cluster/mod.rs"]
mod cluster;
mod limits;
mod order;
mod outcomes;
