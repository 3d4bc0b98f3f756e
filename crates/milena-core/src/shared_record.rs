//! A consumed record that everyone who has part in its processing shares.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{ConsumerRecord, Headers};

/// A [`ConsumerRecord`], shared: a clone copies a pointer. It reads as the record itself.
///
/// A change makes a copy first where others hold the record too, so that nobody sees the change of another.
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
    record: ConsumerRecord,
    attempts: AtomicU32,
}

impl SharedRecord {
    /// Puts another record in its place, in the same memory where nobody else holds it any more: for drivers, which take one record after
    /// the other.
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

    /// The memory without key, value and headers, so that no fetched bytes are held meanwhile; `None` where others hold the record.
    #[must_use]
    #[inline]
    pub fn emptied(mut self) -> Option<Self> {
        let record = &mut Arc::get_mut(&mut self.0)?.record;
        (record.key, record.value) = (None, None);
        record.headers = Headers::new();
        Some(self)
    }

    /// The record itself; copied where others hold it too.
    #[must_use]
    pub fn into_inner(self) -> ConsumerRecord {
        match Arc::try_unwrap(self.0) {
            Ok(held) => held.record,
            Err(shared) => shared.record.clone(),
        }
    }

    /// Notes how many attempts were made with it, for layers further out. A layer that tries again does this.
    pub fn note_attempts(&self, attempts: u32) {
        self.0.attempts.store(attempts, Ordering::Relaxed);
    }

    /// How many attempts layers further in have made with it, as far as they noted it; 0 where none did.
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
