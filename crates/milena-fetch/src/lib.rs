//! The way from a fetched frame to records. It knows neither groups nor positions.
//!
//! - `budget` counts the bytes that fetched frames hold in memory
//! - `chunk` walks the batches of one partition in a frame, and leaves out aborted transactions
//! - `closed` holds a batch as it was fetched
//! - `unpack` checks and decompresses a batch
//! - `openers` does that beside the readers, on a few threads
//! - `batch` reads the records of an opened batch

mod aborted;
mod batch;
mod budget;
mod chunk;
mod closed;
mod openers;
mod unpack;

pub use batch::{FetchBatch, Opened, Rest};
pub use budget::{Budget, LEAST_FETCH, Pinned, partition_bytes, share};
pub use chunk::{Chunk, Extent, Step, extent};
pub use closed::{Bad, BatchEnd, Closed, Weight, batch_time};
pub use openers::{Openable, Openers};
pub use unpack::Unpacker;
