//! Fetch (key 1, versions 4 to 17), written and read by hand. Requests use sessions, and answers
//! are read without copying records.

mod check;
mod request;
mod response;

pub use check::{FetchCheck, Intact};
pub use milena_core::IsolationLevel;
pub use request::{FetchPartition, FetchRequest, FetchSession, ForgottenPartition};
pub use response::{
    AbortedTransaction, DivergingEpoch, FetchResponse, FetchedPartition, decode_checked,
    decode_response,
};

/// The first version that names topics by id (KIP-516).
pub const TOPIC_IDS_FROM: i16 = 13;
