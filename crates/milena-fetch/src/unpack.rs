//! Checks and decompresses batches.

use std::sync::Arc;

use milena_core::{Codec, Offset};
use milena_protocol::batch::Records;

use crate::budget::{Budget, Pinned};
use crate::closed::{Bad, BatchEnd, Closed};

/// The rules by which batches are checked and decompressed. It never changes.
#[derive(Clone, Debug)]
pub struct Unpacker {
    /// True if the checksum of each batch is checked (`check.crcs`).
    check_crcs: bool,
    /// The most bytes that one batch may decompress to.
    max_batch_size: usize,
    /// The budget against which decompressed bytes count.
    budget: Arc<Budget>,
}

impl Unpacker {
    /// Returns an unpacker. `max_batch_size` is the most bytes that one batch may decompress to.
    #[must_use]
    pub fn new(check_crcs: bool, max_batch_size: usize, budget: Arc<Budget>) -> Self {
        Self {
            check_crcs,
            max_batch_size,
            budget,
        }
    }

    /// Checks and decompresses one batch. The decompressed bytes count against the budget from then
    /// on, in place of the fetched ones.
    ///
    /// # Errors
    /// The fault of the batch, and its end.
    pub fn unpack(&self, closed: &Closed) -> Result<(Records, Arc<Pinned>), Bad> {
        let batch = &closed.batch;
        let checks = self.check_crcs;
        if checks {
            batch.verify_crc().map_err(|error| Bad {
                error,
                end: closed.end(false),
            })?;
        }
        let records = batch.records(self.max_batch_size);
        let records = records.map_err(|error| Bad {
            error,
            end: closed.end(checks || batch.verify_crc().is_ok()),
        })?;
        let pinned = match batch.header().attributes.codec() {
            Some(Codec::None) => Arc::clone(&closed.pinned),
            _ => self.budget.pin(records.body().len()),
        };
        Ok((records, pinned))
    }

    /// Returns the end of a batch whose records cannot be read. The header says that it ends at
    /// `next`, but only a checked header can be believed.
    #[must_use]
    pub fn end_of(&self, next: Offset) -> BatchEnd {
        match self.check_crcs {
            true => BatchEnd::Told(next),
            false => BatchEnd::Following(None),
        }
    }
}
