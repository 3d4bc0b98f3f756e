//! Records that are being placed, with what was decided for one, and the next one of many.

use milena_core::Partition;
use tokio::time::Instant;

use crate::memory::Charge;
use crate::topic::Route;

/// The state of a record between the attempts to place it.
#[derive(Default)]
pub(crate) struct Entry {
    /// The partition that the record names. `None` leaves it to the partitioner.
    pub(crate) named: Option<Partition>,
    /// The destination. `None` before the first attempt.
    pub(crate) route: Option<Route>,
    /// Memory that the record has waited for. `None` before, and once a batch has taken it.
    pub(crate) spare: Option<Charge>,
    /// The time until which it may wait. `None` before the first wait.
    pub(crate) deadline: Option<Instant>,
}

impl Entry {
    /// Returns the state of a record that names this partition, or leaves it to the partitioner.
    pub(crate) fn new(named: Option<Partition>) -> Self {
        Self {
            named,
            ..Self::default()
        }
    }

    /// Returns the state of a record whose route may have been decided before.
    pub(crate) fn decided(route: Option<Route>) -> Self {
        Self {
            route,
            ..Self::default()
        }
    }
}

/// Records, with the next one at hand.
///
/// This is not `Peekable`, whose type names the next record by the iterator's item. The compiler
/// then fails to see that futures with closures are `Send`.
pub(crate) struct Ahead<I, R> {
    /// The records after the next one.
    rest: I,
    /// The next record. `None` at the end.
    pub(crate) next: Option<R>,
    /// The destination of the next record. `None` if it was not decided yet.
    pub(crate) route: Option<Route>,
}

impl<I: Iterator<Item = R>, R> Ahead<I, R> {
    pub(crate) fn new(records: impl IntoIterator<IntoIter = I>) -> Self {
        let mut rest = records.into_iter();
        let next = rest.next();
        Self {
            rest,
            next,
            route: None,
        }
    }

    /// Goes on to the next record.
    #[inline]
    pub(crate) fn step(&mut self) {
        self.next = self.rest.next();
        self.route = None;
    }
}
