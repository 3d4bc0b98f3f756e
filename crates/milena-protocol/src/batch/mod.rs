//! Record batches, built in place by producers and read lazily by consumers. Format v2 is written
//! and read, v0 and v1 are only read.
//!
//! A producer appends to a [`BatchBuilder`], seals it, and writes the header when it sends the
//! batch.
//!
//! ```
//! use milena_core::{HeadersRef, Timestamp};
//! use milena_protocol::batch::{BatchBuilder, Batches};
//! use milena_protocol::compression::{Compression, DEFAULT_MAX_SIZE};
//!
//! let mut open = BatchBuilder::with_capacity(1024);
//! open.append(Timestamp::from_millis(17), Some(b"key"), Some(b"value"), HeadersRef::empty())?;
//! let (batch, _) = open.seal(Compression::None)?;
//! let wire = batch.to_bytes(None);
//!
//! for batch in Batches::new(wire) {
//!     let batch = batch?;
//!     batch.verify_crc()?;
//!     for record in batch.records(DEFAULT_MAX_SIZE)?.iter() {
//!         assert_eq!(record?.value, Some(&b"value"[..]));
//!     }
//! }
//! # Ok::<(), milena_core::Error>(())
//! ```

mod batches;
mod builder;
mod control;
mod header;
mod legacy;
mod packed;
mod records;
pub mod rewrite;
mod sealed;
mod varint;

pub use batches::{Batch, Batches};
pub use builder::{AppendInfo, BatchBuilder};
pub use control::ControlRecord;
pub(crate) use header::crc_of;
pub use header::{Attributes, BatchHeader, HEADER_LEN, ProducerStamp};
pub use records::{OwnedRecord, OwnedRecords, RecordIter, Records, owned_headers};
pub use sealed::SealedBatch;
