//! The end of a producer, from the first request for it to the last reply.

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::send::command::{Ended, GivenUp};

/// The close of a producer. It decides when the send task is over.
#[derive(Default)]
pub(super) struct Closing {
    /// The close in progress. `None` while nobody has asked for it.
    close: Option<Close>,
}

/// A close in progress.
#[derive(Default)]
struct Close {
    /// The time at which the rest is given up, which is the first call's deadline. `None` if no
    /// caller is left, in which case everything is sent.
    deadline: Option<Instant>,
    /// The calls that wait for the end, each with its own deadline.
    waiting: Vec<(Instant, oneshot::Sender<Ended>)>,
}

impl Closing {
    /// Returns true if the producer is to end.
    pub(super) fn is_asked(&self) -> bool {
        self.close.is_some()
    }

    /// Ends the producer once everything is sent, since no caller is left.
    pub(super) fn abandon(&mut self) {
        self.close.get_or_insert_default();
    }

    /// Takes the request of a call that waits for the end. The deadline of the first call is the
    /// one at which the rest is given up.
    pub(super) fn ask(&mut self, deadline: Instant, reply: oneshot::Sender<Ended>) {
        let first = || Close {
            deadline: Some(deadline),
            ..Close::default()
        };
        let close = self.close.get_or_insert_with(first);
        close.waiting.push((deadline, reply));
    }

    /// Returns true if the producer ends now. That is so when nothing is left, or when the rest has
    /// to be given up. Answers the later calls whose own deadline has passed.
    pub(super) fn is_due(&mut self, now: Instant, is_idle: impl FnOnce() -> bool) -> bool {
        let Some(close) = &mut self.close else {
            return false;
        };
        if close.deadline.is_some_and(|deadline| deadline <= now) {
            return true;
        }
        let late = |(deadline, _): &mut (Instant, _)| *deadline <= now;
        for (_, reply) in close.waiting.extract_if(.., late) {
            // The caller may have dropped its future.
            let _ = reply.send(None);
        }
        is_idle()
    }

    /// Returns the earliest deadline of a call, at which the send task has to be awake.
    pub(super) fn next(&self) -> Option<Instant> {
        let close = self.close.as_ref()?;
        let waiting = close.waiting.iter().map(|(deadline, _)| *deadline);
        waiting.chain(close.deadline).min()
    }

    /// Tells all calls that the producer has ended, and what was given up.
    pub(super) fn finish(&mut self, given_up: GivenUp) {
        for (_, reply) in self
            .close
            .take()
            .into_iter()
            .flat_map(|close| close.waiting)
        {
            // The caller may have dropped its future.
            let _ = reply.send(Some(given_up));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_end_that_nobody_asked_for_does_not_come() {
        let (mut closing, now) = (Closing::default(), Instant::now());
        assert!(!closing.is_due(now, || true));
        closing.abandon();
        assert!(!closing.is_due(now + 1000 * SECOND, || false));
        assert!(closing.is_due(now, || true));
        assert_eq!(closing.next(), None);
    }

    #[test]
    fn the_first_deadline_ends_the_producer_and_a_later_call_waits_for_its_own() {
        let (mut closing, now) = (Closing::default(), Instant::now());
        let (first, mut first_end) = oneshot::channel();
        let (later, mut later_end) = oneshot::channel();
        closing.ask(now + 5 * SECOND, first);
        closing.ask(now + SECOND, later);
        assert_eq!(closing.next(), Some(now + SECOND));
        assert!(!closing.is_due(now + SECOND, || false));
        assert!(matches!(later_end.try_recv(), Ok(None)));
        assert_eq!(closing.next(), Some(now + 5 * SECOND));
        assert!(closing.is_due(now + 5 * SECOND, || false));
        closing.finish(GivenUp::default());
        assert!(matches!(first_end.try_recv(), Ok(Some(_))));
    }
}
