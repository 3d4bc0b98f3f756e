//! Records that a handler makes from one, to be sent when it has ended well.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ProducerRecord;

/// Takes the records that a handler makes. A layer sends them once the handler has answered that its record is done, and lets that answer
/// pass when a broker has acknowledged them all; after any other answer they are dropped. A clone is the same list.
///
/// ```
/// use milena_core::{Emitter, ProducerRecord, Text};
///
/// async fn bill(Text(order): Text, bills: Emitter) {
///     bills.emit(ProducerRecord::new("bills").value(format!("for {order}")));
/// }
/// # fn check<A>(_: impl milena_core::Handler<A>) {}
/// # check(bill);
/// ```
#[derive(Clone, Default)]
pub struct Emitter(Arc<Mutex<Vec<ProducerRecord>>>);

impl Emitter {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a record at the end. It is not sent yet.
    pub fn emit(&self, record: ProducerRecord) {
        self.records().push(record);
    }

    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records().is_empty()
    }

    /// Takes all records out, in their order.
    #[must_use]
    pub fn take(&self) -> Vec<ProducerRecord> {
        std::mem::take(&mut self.records())
    }

    fn records(&self) -> MutexGuard<'_, Vec<ProducerRecord>> {
        // Nothing that holds the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Emitter").field(&self.len()).finish()
    }
}
