//! Records on their way in: what was decided for one, and the next of many.

use milena_core::Partition;
use tokio::time::Instant;

use crate::memory::Charge;
use crate::topic::Route;

/// A record between the attempts to place it: what was decided for it, and what it holds.
#[derive(Default)]
pub(crate) struct Entry {
    /// The partition that the record names.
    pub(crate) named: Option<Partition>,
    /// Where it goes, from the first attempt on.
    pub(crate) route: Option<Route>,
    /// Memory that was waited for.
    pub(crate) spare: Option<Charge>,
    /// Until when it may wait; `None` before the first wait.
    pub(crate) deadline: Option<Instant>,
}

impl Entry {
    /// A record that names this partition, or leaves it to the partitioner.
    pub(crate) fn new(named: Option<Partition>) -> Self {
        Self {
            named,
            ..Self::default()
        }
    }

    /// A record for which the route was decided before, if it was.
    pub(crate) fn decided(route: Option<Route>) -> Self {
        Self {
            route,
            ..Self::default()
        }
    }
}

/// Records with the next one at hand. Not `Peekable`, which spells the next one by the iterator's type: then futures that hold
/// closures are not seen to be `Send`.
pub(crate) struct Ahead<I, R> {
    rest: I,
    pub(crate) next: Option<R>,
    /// Where the next one goes, if that was decided.
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

    #[inline]
    pub(crate) fn step(&mut self) {
        self.next = self.rest.next();
        self.route = None;
    }
}
