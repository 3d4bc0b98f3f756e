//! The send task. It turns batches into produce requests, and answers into the outcomes of records.

pub(crate) mod answer;
pub(crate) mod batch;
pub(crate) mod closing;
pub(crate) mod command;
pub(crate) mod compressors;
pub(crate) mod dialing;
pub(crate) mod drain;
pub(crate) mod due;
pub(crate) mod leaderless;
pub(crate) mod link;
pub(crate) mod notices;
pub(crate) mod pace;
pub(crate) mod parts;
pub(crate) mod queue;
pub(crate) mod seal;
pub(crate) mod sequence;
pub(crate) mod spread;
pub(crate) mod task;
pub(crate) mod verdict;
pub(crate) mod window;
