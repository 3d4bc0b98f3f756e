//! Behaviour of lanes over records in memory, in a paused clock.

mod bed;
mod endings;
mod order;
mod pauses;
mod verdicts;
