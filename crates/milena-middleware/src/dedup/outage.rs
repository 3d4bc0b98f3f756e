//! The time in which the store does not answer, with the records that wait for it.

use milena_core::Gate;
use parking_lot::Mutex;

/// The gate of the layer, and the number of records that wait for the store. All lanes share it.
pub(super) struct Outage {
    /// The gate. Closed while the store does not answer. Opened by its next answer, or when no
    /// record waits any more.
    gate: Gate,
    /// The number of records that wait. Locked while the gate changes, so that the last record to
    /// end its wait cannot open the gate after a new one has closed it.
    waiting: Mutex<usize>,
}

/// The wait of one record for the store. Dropping this ends the wait.
pub(super) struct Wait<'a>(&'a Outage);

impl Outage {
    pub(super) fn new(gate: Gate) -> Self {
        Self {
            gate,
            waiting: Mutex::new(0),
        }
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Begins the wait of one record.
    pub(super) fn wait(&self) -> Wait<'_> {
        *self.waiting.lock() += 1;
        Wait(self)
    }
}

impl Wait<'_> {
    /// Closes the gate, with the reason why the store does not answer.
    pub(super) fn note(&self, reason: String) {
        let _waiting = self.0.waiting.lock();
        self.0.gate.close(reason);
    }

    /// Opens the gate, because the store has answered.
    pub(super) fn answered(self) {
        self.0.gate.open();
    }
}

/// Opens the gate after the last wait. If the partition of that record is given back, no one asks
/// the store any more, and a gate that no one opens would pause its partitions for ever.
impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock();
        *waiting = waiting.saturating_sub(1);
        if *waiting == 0 {
            self.0.gate.open();
        }
    }
}
