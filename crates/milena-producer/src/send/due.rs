//! The work that is due, for batches whose delivery timeout has passed and open batches that have
//! lingered.

use std::cmp::Reverse;

use milena_core::Persistence;
use tokio::time::Instant;

use crate::delivery::Fate;
use crate::send::task::Sender;

/// The earliest time at which something has to be looked at again. `None` if there is none.
#[derive(Default)]
pub(crate) struct Wake(pub(crate) Option<Instant>);

impl Wake {
    /// Adds a time. The earliest one stays.
    pub(crate) fn at(&mut self, time: Instant) {
        self.0 = Some(self.0.map_or(time, |earlier| earlier.min(time)));
    }
}

impl Sender {
    /// Fails the records whose delivery timeout has passed.
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

    /// Lists the partitions whose open batch has lingered for long enough. Lists all that linger if
    /// a caller waits for memory.
    pub(crate) fn wake_lingering(&mut self, now: Instant, wake: &mut Wake) {
        let hurried = self.shared.bell.takes_hurry();
        if hurried {
            self.hurried = Some(now);
        }
        let all = hurried || self.shared.budget.waiting() > 0;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use milena_core::{HeadersRef, NodeId};
    use tokio::sync::mpsc;

    use super::*;
    use crate::Acks;
    use crate::enqueue::bell::Bell;
    use crate::enqueue::memory::{Budget, Buffers};
    use crate::enqueue::partition::RecordDraft;
    use crate::enqueue::registry::Registry;
    use crate::enqueue::shared::Shared;
    use crate::enqueue::tick::Tick;
    use crate::enqueue::topic::{Route, Topics};
    use crate::network::{LinkId, Network};
    use crate::settings::SettingsDraft;
    use crate::tests::stub::Stub;

    const LINGER: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn partitions_that_linger_are_not_looked_at_before_they_are_due() {
        let stub = Stub::new(100);
        let mut draft = SettingsDraft {
            acks: Some(Acks::Leader),
            ..SettingsDraft::default()
        };
        draft.batching.interval = Some(LINGER);
        let settings = Arc::new(draft.check().unwrap());
        let shared = Arc::new(Shared {
            budget: Budget::new(64 << 20),
            buffers: Buffers::new(16 << 10, 512 << 10, 64 << 20),
            bell: Bell::default(),
            clock: settings.clock.clone(),
            tick: Tick::default(),
        });
        let registry = Arc::new(Registry::default());
        let topics = Arc::new(Topics::new(settings.flows.clone()));
        let orders = topics.get(&"orders".into());
        orders.take(&stub.shape("orders").unwrap(), &registry);
        let (_commands, received) = mpsc::channel(1);
        let mut sender = Sender::new(
            shared.clone(),
            registry,
            settings,
            stub.clone(),
            topics,
            received,
        );
        let link = LinkId::first(NodeId::from_wire(1).unwrap());
        for number in 0..100 {
            let chosen = orders.find(Route::Named(number)).unwrap();
            let record = RecordDraft::new(None, Some(b"v"), HeadersRef::empty(), None);
            let placed = chosen.partition.place(&record, &shared, &mut None, false);
            placed.unwrap();
        }
        let start = Instant::now();
        sender.take_news();
        // The link is dialed.
        sender.pump(start);
        sender.dialed(link, stub.connect(link).await, start);
        assert_eq!(sender.pump(start), Some(start + LINGER));
        let waits = |sender: &Sender| (sender.links[&link].turn.len(), sender.lingering.len());
        assert_eq!(waits(&sender), (0, 100));
        let later = start + LINGER / 2;
        assert_eq!(sender.pump(later), Some(start + LINGER));
        assert_eq!(waits(&sender), (0, 100));
        sender.pump(start + LINGER);
        assert_eq!(waits(&sender).1, 0);
        assert!(stub.state.lock().requests > 0);
    }
}
