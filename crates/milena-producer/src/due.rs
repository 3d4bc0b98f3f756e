//! What is due: batches whose time is over, and open ones that have lingered.

use std::cmp::Reverse;

use milena_core::Persistence;
use tokio::time::Instant;

use crate::delivery::Fate;
use crate::sender::Sender;

/// The earliest of the times at which something is to be looked at again.
#[derive(Default)]
pub(crate) struct Wake(pub(crate) Option<Instant>);

impl Wake {
    pub(crate) fn at(&mut self, time: Instant) {
        self.0 = Some(self.0.map_or(time, |earlier| earlier.min(time)));
    }
}

impl Sender {
    /// Fails what has waited for too long.
    pub(crate) fn expire(&mut self, now: Instant, wake: &mut Wake) {
        while let Some(Reverse((due, id))) = self.timers.peek().copied() {
            if due > now {
                wake.at(due);
                return;
            }
            self.timers.pop();
            let Some(outlet) = self.queues.get_mut(id as usize) else {
                continue;
            };
            let queue = &mut outlet.queue;
            let rules = queue.partition.flow.rules;
            let place = queue.partition.place.clone();
            let mut failed = queue.expire(now, &rules);
            let open_due = queue
                .open_since
                .map(|opened| opened + rules.delivery_timeout);
            if open_due.is_some_and(|due| due <= now)
                && let Some(batch) = queue.partition.take_open()
            {
                queue.open_since = None;
                let error = queue
                    .unsent(rules.delivery_timeout)
                    .at(&place)
                    .with_persistence(Persistence::NotWritten);
                batch.receipt.settle(Fate::Failed(error.clone()));
                failed.push((batch.builder.count(), error));
            }
            outlet.timed = false;
            if let Some(due) = queue.deadline(&rules) {
                outlet.timed = true;
                self.timers.push(Reverse((due, id)));
            }
            for (records, error) in failed {
                self.tell_failed(&place, records, &error);
            }
        }
    }

    /// Lists the partitions whose open batch has lingered for long enough; all of them while somebody waits for memory.
    pub(crate) fn wake_lingering(&mut self, now: Instant, wake: &mut Wake) {
        let hurried = self.desk.ready.takes_hurry();
        if hurried {
            self.hurried = Some(now);
        }
        let all = hurried || self.desk.budget.waiting() > 0;
        while let Some(Reverse((due, id))) = self.lingering.peek().copied() {
            if due > now && !all {
                return wake.at(due);
            }
            self.lingering.pop();
            if let Some(outlet) = self.queues.get_mut(id as usize) {
                outlet.lingers = false;
            }
            self.list(id);
        }
    }
}
