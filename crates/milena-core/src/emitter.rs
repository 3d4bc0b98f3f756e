//! Records that a handler emits while it processes one record. They are sent after it succeeded.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ProducerRecord;

/// Collects the records that a handler emits. A clone shares the same list.
///
/// A layer sends the records once the handler answered that its record is done. It passes that
/// answer on once a broker has acknowledged all of them. After any other answer the records are
/// dropped.
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
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a record at the end. It is not sent yet.
    pub fn emit(&self, record: ProducerRecord) {
        self.records().push(record);
    }

    /// Returns the number of records in the list.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records().len()
    }

    /// Returns true if the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records().is_empty()
    }

    /// Takes all records out of the list, in their order.
    #[must_use]
    pub fn take(&self) -> Vec<ProducerRecord> {
        std::mem::take(&mut self.records())
    }

    fn records(&self) -> MutexGuard<'_, Vec<ProducerRecord>> {
        // No code panics in the middle of a change while it holds the lock, so the list is valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Emitter").field(&self.len()).finish()
    }
}
