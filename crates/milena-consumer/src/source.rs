//! The records of a partition one by one, without waiting. For a lane that takes several records at
//! a time.

use std::sync::Arc;

use milena_core::ConsumerRecord;
use tokio::time::Instant;

use crate::batch::{Opened, Rest};
use crate::core::Core;
use crate::lane::unreadable;
use crate::offsets::Ticket;
use crate::partition::{Delivery, Partition};
use crate::unpack;

/// Delivers the records of a partition in their order.
pub(crate) struct Source {
    /// The consumer.
    core: Arc<Core>,
    /// The partition to read.
    partition: Arc<Partition>,
    /// The batch that is being read, and its records that are left. `None` between batches.
    open: Option<(Opened, Rest)>,
    /// A record that was read but not delivered, since the window was full. It comes next.
    pending: Option<ConsumerRecord>,
}

/// The next thing from a source.
pub(crate) enum Next {
    /// A delivered record, and the ticket to settle it with.
    Record(ConsumerRecord, Ticket),
    /// Nothing is ready now.
    Empty,
    /// The window is full. Nothing comes before one of its records is done. Holds the size of the
    /// window.
    Full(usize),
    /// The partition is to be revoked, or its lane has stopped.
    Away,
}

impl Source {
    pub(crate) fn new(core: Arc<Core>, partition: Arc<Partition>) -> Self {
        Self {
            core,
            partition,
            open: None,
            pending: None,
        }
    }

    /// Delivers and returns the next record.
    pub(crate) fn next(&mut self) -> Next {
        loop {
            if self.partition.is_stopping() {
                return Next::Away;
            }
            let Some((opened, rest)) = &mut self.open else {
                match unpack::open(&self.core, &self.partition) {
                    Ok(Some(opened)) => {
                        let rest = opened.rest();
                        self.open = Some((opened, rest));
                    }
                    Ok(None) => return Next::Empty,
                    Err(error) => {
                        self.partition.stop();
                        self.core.lane_stopped(&self.partition, "", &error);
                        return Next::Away;
                    }
                }
                continue;
            };
            let read = match self.pending.take() {
                Some(record) => Some(Ok(record)),
                None => rest.next(self.partition.place()),
            };
            let record = match read {
                Some(Ok(record)) => record,
                Some(Err(error)) => {
                    unreadable(&self.core, &self.partition, opened, &error);
                    self.open = None;
                    continue;
                }
                None => {
                    let (turn, next, epoch) = (opened.turn, opened.next_offset(), opened.epoch());
                    self.partition.passed(turn, next, epoch);
                    self.open = None;
                    continue;
                }
            };
            let window = self.core.settings.max_out_of_order;
            let (turn, epoch, now) = (opened.turn, opened.epoch(), Instant::now());
            let (offset, time) = (record.offset, record.timestamp);
            match self
                .partition
                .deliver(turn, offset, epoch, time, now, window)
            {
                Delivery::Ticket(ticket) => return Next::Record(record, ticket),
                // A seek or a revocation has made the batch stale.
                Delivery::Over => self.open = None,
                Delivery::Full => {
                    self.pending = Some(record);
                    return Next::Full(window);
                }
            }
        }
    }
}
