//! The end: what is left gets its fate, whoever ended the producer.

use milena_core::{Error, ErrorKind, Event, Persistence};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::delivery::Fate;
use crate::sender::Sender;

/// What a close left undone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GivenUp {
    pub(crate) not_written: u64,
    pub(crate) possibly_written: u64,
}

/// A close under way.
pub(crate) struct Closing {
    pub(crate) deadline: Option<Instant>,
    pub(crate) reply: Option<oneshot::Sender<GivenUp>>,
}

impl Sender {
    /// Whether the task ends here; gives up what is left when the time to close is over.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        if self.closing.is_none() && self.desk.ready.is_abandoned() {
            self.take_all_open();
            self.closing = Some(Closing {
                deadline: None,
                reply: None,
            });
        }
        let Some(closing) = &self.closing else {
            return false;
        };
        let late = closing.deadline.is_some_and(|deadline| deadline <= now);
        if !late && !self.queues.iter().all(|outlet| outlet.queue.is_idle()) {
            return false;
        }
        let given_up = self.end(&closed(
            "the producer was closed before the record was delivered",
        ));
        if let Some(reply) = self.closing.take().and_then(|closing| closing.reply) {
            let _ = reply.send(given_up);
        }
        true
    }

    /// The deadline of a close, to be awake by.
    pub(crate) fn close_deadline(&self) -> Option<Instant> {
        self.closing.as_ref().and_then(|closing| closing.deadline)
    }

    /// Fails all records that have no fate, and refuses new ones.
    pub(crate) fn end(&mut self, error: &Error) -> GivenUp {
        let mut given_up = GivenUp::default();
        self.desk.ready.close(error);
        self.take_news();
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
            for (records, error) in failed {
                given_up.count(records, &error);
                self.settings.observers.emit(|| Event::BatchFailed {
                    partition: &place,
                    records,
                    error: &error,
                });
            }
        }
        given_up
    }
}

impl Drop for Sender {
    /// The runtime may end before the producer does: nobody is left to wait for ever.
    fn drop(&mut self) {
        self.end(&closed(
            "the producer's task ended before the record was delivered",
        ));
    }
}

impl GivenUp {
    fn count(&mut self, records: u32, error: &Error) {
        match error.persistence() {
            Some(Persistence::PossiblyWritten) => self.possibly_written += u64::from(records),
            _ => self.not_written += u64::from(records),
        }
    }
}

pub(crate) fn closed(what: &'static str) -> Error {
    Error::new(ErrorKind::Closed, what)
}
