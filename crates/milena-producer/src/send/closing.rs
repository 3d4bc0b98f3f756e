//! The end of a producer. Every record that is left gets its outcome, whatever ended the producer.

use milena_core::{Error, Persistence};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::closed::closed;
use crate::delivery::Fate;
use crate::send::command::{Ended, GivenUp};
use crate::send::task::Sender;

/// A close in progress.
pub(crate) struct Closing {
    /// The time at which the rest is given up, which is the first call's deadline. `None` if no
    /// caller is left, in which case everything is sent.
    deadline: Option<Instant>,
    /// The calls that wait for the end, each with its own deadline.
    waiting: Vec<(Instant, oneshot::Sender<Ended>)>,
}

impl Closing {
    /// Returns a close that no caller waits for.
    pub(crate) fn abandoned() -> Self {
        Self {
            deadline: None,
            waiting: Vec::new(),
        }
    }

    /// Returns the close that a first call asks for.
    pub(crate) fn by(deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..Self::abandoned()
        }
    }

    /// Adds a call that waits for the end.
    pub(crate) fn wait(&mut self, deadline: Instant, reply: oneshot::Sender<Ended>) {
        self.waiting.push((deadline, reply));
    }

    /// Returns true if the rest has to be given up. Answers the later calls whose own deadline has
    /// passed.
    fn is_late(&mut self, now: Instant) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return true;
        }
        for (_, reply) in self
            .waiting
            .extract_if(.., |(deadline, _)| *deadline <= now)
        {
            // The caller may have dropped its future.
            let _ = reply.send(None);
        }
        false
    }

    /// Returns the earliest deadline.
    fn next(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|(deadline, _)| *deadline);
        waiting.chain(self.deadline).min()
    }
}

impl Sender {
    /// Returns true if the sender's task ends here. Gives up the rest if the close is late.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        if self.closing.is_none() && self.shared.bell.is_abandoned() {
            self.take_news();
            self.take_all_open();
            self.closing = Some(Closing::abandoned());
        }
        let Some(closing) = &mut self.closing else {
            return false;
        };
        if !closing.is_late(now) && !self.queues.iter().all(|outlet| outlet.queue.is_idle()) {
            return false;
        }
        let given_up = self.end(&closed(
            "the producer was closed before the record was delivered",
        ));
        for (_, reply) in self
            .closing
            .take()
            .into_iter()
            .flat_map(|closing| closing.waiting)
        {
            let _ = reply.send(Some(given_up));
        }
        true
    }

    /// Returns the earliest deadline of a close, at which the sender has to be awake.
    pub(crate) fn close_deadline(&self) -> Option<Instant> {
        self.closing.as_ref().and_then(Closing::next)
    }

    /// Ends the producer because the cluster was closed. No connection can be opened any more.
    pub(crate) fn end_with_cluster(&mut self) {
        self.end(&closed("the client's cluster was closed"));
    }

    /// Fails all records without an outcome, and refuses new ones.
    pub(crate) fn end(&mut self, error: &Error) -> GivenUp {
        let mut given_up = GivenUp::default();
        self.registry.close(error);
        self.take_news();
        let mut all = Vec::new();
        for outlet in &mut self.queues {
            let queue = &mut outlet.queue;
            let place = queue.partition.place.clone();
            let mut failed = queue.fail_all(error);
            let mut left = Vec::new();
            queue.partition.collect(&mut left);
            left.extend(queue.partition.take_open());
            for batch in left {
                let error = error.clone().at(&place);
                let error = error.with_persistence(Persistence::NotWritten);
                batch.receipt.settle(Fate::Failed(error.clone()));
                failed.push((batch.builder.count(), error));
            }
            all.extend(failed.into_iter().map(|failed| (place.clone(), failed)));
        }
        for (place, (records, error)) in all {
            given_up.count(records, &error);
            self.tell_failed(&place, records, &error);
        }
        self.write_given_up(Instant::now());
        given_up
    }
}

impl Drop for Sender {
    /// Fails the remaining records. The runtime may end before the producer does, and their
    /// deliveries would wait for ever.
    fn drop(&mut self) {
        let what = "the producer's task ended before the record was delivered";
        if std::thread::panicking() {
            tracing::error!(
                "the producer's task panicked, so the producer accepts no more records"
            );
        }
        self.end(&closed(what));
    }
}
