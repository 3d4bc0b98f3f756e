//! The end: what is left gets its fate, whoever ended the producer.

use milena_core::{Error, ErrorKind, Persistence};
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

/// The answer to a close: what was given up, or `None` where the time of that call is over and another call's is not.
pub(crate) type Ended = Option<GivenUp>;

/// A close under way.
pub(crate) struct Closing {
    /// When what is left is given up: the first call's deadline. `None` where no caller is left, and everything is sent.
    deadline: Option<Instant>,
    /// The calls that wait for the end, each until a deadline of its own.
    waiting: Vec<(Instant, oneshot::Sender<Ended>)>,
}

impl Closing {
    /// The end that no caller waits for.
    pub(crate) fn abandoned() -> Self {
        Self {
            deadline: None,
            waiting: Vec::new(),
        }
    }

    /// The end that a first call asks for.
    pub(crate) fn by(deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..Self::abandoned()
        }
    }

    /// Has a call wait for the end.
    pub(crate) fn wait(&mut self, deadline: Instant, reply: oneshot::Sender<Ended>) {
        self.waiting.push((deadline, reply));
    }

    /// Whether what is left is to be given up; a later call whose own time is over hears that it is not done.
    fn is_late(&mut self, now: Instant) -> bool {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return true;
        }
        for (_, reply) in self
            .waiting
            .extract_if(.., |(deadline, _)| *deadline <= now)
        {
            // A caller that gave up needs no answer.
            let _ = reply.send(None);
        }
        false
    }

    /// The next time to look at it again.
    fn next(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().map(|(deadline, _)| *deadline);
        waiting.chain(self.deadline).min()
    }
}

impl Sender {
    /// Whether the task ends here; gives up what is left when the time to close is over.
    pub(crate) fn is_over(&mut self, now: Instant) -> bool {
        if self.closing.is_none() && self.desk.ready.is_abandoned() {
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

    /// The deadline of a close, to be awake by.
    pub(crate) fn close_deadline(&self) -> Option<Instant> {
        self.closing.as_ref().and_then(Closing::next)
    }

    /// Ends since the cluster was closed: nothing can be sent any more, and no connection comes again.
    pub(crate) fn end_with_cluster(&mut self) {
        self.end(&closed("the client's cluster was closed"));
    }

    /// Fails all records that have no fate, and refuses new ones.
    pub(crate) fn end(&mut self, error: &Error) -> GivenUp {
        let mut given_up = GivenUp::default();
        self.desk.ready.close(error);
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
    /// The runtime may end before the producer does: nobody is left to wait for ever.
    fn drop(&mut self) {
        let what = "the producer's task ended before the record was delivered";
        if std::thread::panicking() {
            tracing::error!("the producer's task panicked: it takes no record any more");
        }
        self.end(&closed(what));
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
