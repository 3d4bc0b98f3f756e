//! Partitions without a leader, and partitions whose topic does not exist any more.

use milena_core::Persistence;
use tokio::time::Instant;

use crate::delivery::Fate;
use crate::send::due::Wake;
use crate::send::task::Sender;
use crate::send::verdict;

impl Sender {
    /// Requests metadata again and again while a partition has no leader.
    pub(crate) fn seek_leaders(&mut self, now: Instant, wake: &mut Wake) {
        if self.leaderless.is_empty() {
            self.ask_again = None;
            return;
        }
        if self.ask_again.is_none_or(|time| time <= now) {
            self.give_up_leaderless(now);
            self.network.refresh("a partition has no leader");
            self.ask_again = Some(now + self.settings.rules.backoff.delay(u32::MAX));
        }
        if let Some(time) = self.ask_again {
            wake.at(time);
        }
    }

    /// Gives up partitions whose topic does not exist any more, and takes those with nothing to
    /// send off the list.
    fn give_up_leaderless(&mut self, now: Instant) {
        let ids = std::mem::take(&mut self.leaderless);
        for id in ids {
            let Some(outlet) = self.queues.get_mut(id as usize) else {
                continue;
            };
            let missing = self.network.is_missing(&outlet.queue.partition.place);
            outlet.queue.missing(missing, now);
            self.give_up_missing(id, now);
            let Some(outlet) = self.queues.get_mut(id as usize) else {
                continue;
            };
            outlet.listed = outlet.queue.has_waiting() || outlet.queue.open_since.is_some();
            if outlet.listed {
                self.leaderless.push(id);
            }
        }
    }

    /// Gives up the records of a partition whose topic the cluster has not known for long enough.
    /// They would otherwise hold memory until their delivery timeout.
    pub(crate) fn give_up_missing(&mut self, id: u32, now: Instant) {
        let Some(outlet) = self.queues.get_mut(id as usize) else {
            return;
        };
        let queue = &mut outlet.queue;
        let rules = queue.partition.flow.rules;
        if !queue.is_missing(now, &rules) {
            return;
        }
        let place = queue.partition.place.clone();
        let mut failed = queue.give_up_missing(now, &rules);
        queue.open_since = None;
        let error = verdict::missing_topic(&place, rules.missing_topic);
        let error = error.with_persistence(Persistence::NotWritten);
        while let Some(batch) = queue.partition.take_open() {
            batch.receipt.settle(Fate::Failed(error.clone()));
            failed.push((batch.builder.count(), error.clone()));
        }
        // Records that come from now on have their own time, since the topic may be created again.
        queue.missing(false, now);
        for (records, error) in failed {
            self.tell_failed(&place, records, &error);
        }
    }
}
