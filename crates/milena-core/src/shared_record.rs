//! A consumed record that layers, handler and driver share without copying it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{ConsumerRecord, Headers};

/// A shared [`ConsumerRecord`]. A clone copies a pointer. It dereferences to the record.
///
/// A change first copies the record if it is shared, so that other holders do not see the change.
///
/// ```
/// use milena_core::{ConsumerRecord, SharedRecord};
///
/// let mut mine = SharedRecord::from(ConsumerRecord::new("orders", 0, 17));
/// let theirs = mine.clone();
/// mine.headers.push("seen", "yes");
/// assert_eq!((mine.headers.len(), theirs.headers.len()), (1, 0));
/// ```
#[derive(Clone)]
pub struct SharedRecord(Arc<Held>);

struct Held {
    /// The record.
    record: ConsumerRecord,
    /// Attempts that inner layers made with the record. 0 if no layer noted any.
    attempts: AtomicU32,
}

impl SharedRecord {
    /// Replaces the record. Reuses the memory if nothing else holds the old record.
    ///
    /// Meant for drivers, which process one record after the other. Sets the attempts to 0.
    #[inline]
    pub fn replace(&mut self, record: ConsumerRecord) {
        match Arc::get_mut(&mut self.0) {
            Some(held) => {
                held.record = record;
                *held.attempts.get_mut() = 0;
            }
            None => *self = Self::from(record),
        }
    }

    /// Removes key, value and headers, so that the memory can be reused without holding fetched
    /// bytes. `None` if the record is shared.
    #[must_use]
    #[inline]
    pub fn emptied(mut self) -> Option<Self> {
        let record = &mut Arc::get_mut(&mut self.0)?.record;
        (record.key, record.value) = (None, None);
        record.headers = Headers::new();
        Some(self)
    }

    /// Returns the record. Copies it if it is shared.
    #[must_use]
    pub fn into_inner(self) -> ConsumerRecord {
        match Arc::try_unwrap(self.0) {
            Ok(held) => held.record,
            Err(shared) => shared.record.clone(),
        }
    }

    /// Sets the number of attempts made with the record, for outer layers. A layer that retries
    /// calls this.
    pub fn note_attempts(&self, attempts: u32) {
        self.0.attempts.store(attempts, Ordering::Relaxed);
    }

    /// Returns the number of attempts that inner layers noted. 0 if none did.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.0.attempts.load(Ordering::Relaxed)
    }
}

impl From<ConsumerRecord> for SharedRecord {
    #[inline]
    fn from(record: ConsumerRecord) -> Self {
        Self(Arc::new(Held {
            record,
            attempts: AtomicU32::new(0),
        }))
    }
}

impl Deref for SharedRecord {
    type Target = ConsumerRecord;

    #[inline]
    fn deref(&self) -> &ConsumerRecord {
        &self.0.record
    }
}

impl DerefMut for SharedRecord {
    fn deref_mut(&mut self) -> &mut ConsumerRecord {
        &mut Arc::make_mut(&mut self.0).record
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        Self {
            record: self.record.clone(),
            attempts: AtomicU32::new(self.attempts.load(Ordering::Relaxed)),
        }
    }
}

impl PartialEq for SharedRecord {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl PartialEq<ConsumerRecord> for SharedRecord {
    fn eq(&self, other: &ConsumerRecord) -> bool {
        **self == *other
    }
}

impl Eq for SharedRecord {}

impl fmt::Debug for SharedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.record.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_uses_the_memory_again_unless_somebody_kept_the_record() {
        let mut record = SharedRecord::from(ConsumerRecord::new("orders", 0, 0));
        record.note_attempts(3);
        let memory = Arc::as_ptr(&record.0);
        record.replace(ConsumerRecord::new("orders", 0, 1));
        assert_eq!((Arc::as_ptr(&record.0), record.attempts()), (memory, 0));
        let kept = record.clone();
        record.replace(ConsumerRecord::new("orders", 0, 2));
        assert_eq!((kept.offset, record.offset), (1.into(), 2.into()));
        assert!(record.clone().emptied().is_none(), "the other holds it");
        record.value = Some("stamps".into());
        assert_eq!(record.emptied().unwrap().value, None);
        assert_eq!(kept.into_inner(), ConsumerRecord::new("orders", 0, 1));
    }
}
