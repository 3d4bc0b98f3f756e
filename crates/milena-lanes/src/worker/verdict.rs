//! Decision about a record after a handler's answer. Has no side effects.

use std::time::Duration;

use milena_core::{
    Backoff, Error, ErrorClass, ErrorKind, Outcome, ProcessError, Reason, Timestamp,
};

use crate::settled::Settled;

/// The decision about a record after an attempt.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The record is done.
    Settle(Settled),
    /// Try the record again after this wait. This counts as an attempt.
    Again(Duration),
    /// Try the record again, but not before this time. This counts as no attempt.
    Hold(Timestamp),
    /// Stop the consumer. The record is read again later.
    Stop(Reason),
    /// The consumer cannot continue.
    Fail(Error),
    /// The lane cannot continue, since the record is neither done nor written anywhere else.
    Stuck(Error),
}

/// Limits for retries in place, for runs without a layer that retries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The number of attempts in all.
    pub(crate) attempts: u32,
    /// The waits between attempts.
    pub(crate) backoff: Backoff,
    /// True if a layer retries or writes dead letters. An error that leaves the layers is final
    /// then.
    pub(crate) layered: bool,
}

/// Decides what to do after attempt number `attempt`, counted from 1.
#[inline]
pub(crate) fn judge(
    answer: Result<Outcome, ProcessError>,
    attempt: u32,
    patience: Patience,
) -> Verdict {
    match &answer {
        Ok(outcome) => match Settled::of(outcome) {
            Some(settled) => Verdict::Settle(settled),
            None => judge_unsettled(answer, attempt, patience),
        },
        Err(_) => judge_unsettled(answer, attempt, patience),
    }
}

/// Decides about a record that its handler has not done.
#[cold]
fn judge_unsettled(
    answer: Result<Outcome, ProcessError>,
    attempt: u32,
    patience: Patience,
) -> Verdict {
    let wait = |asked: Option<Duration>| asked.unwrap_or(patience.backoff.delay(attempt - 1));
    let again = attempt < patience.attempts && !patience.layered;
    match answer {
        Ok(Outcome::Retry { after, .. }) if again => Verdict::Again(wait(after)),
        Ok(Outcome::Retry { reason, .. }) => {
            Verdict::Stuck(stuck(format!("gave up after {attempt} attempts: {reason}")))
        }
        Ok(Outcome::DeadLetter(reason)) => {
            let what = format!(
                "the handler dead-letters a record, but there is no dead letter layer: {reason}"
            );
            Verdict::Stuck(stuck(what))
        }
        Ok(Outcome::Hold(until)) => Verdict::Hold(until),
        Ok(Outcome::Stop(reason)) => Verdict::Stop(reason),
        Ok(_) => Verdict::Stuck(stuck("the handler answered with an unknown outcome".into())),
        Err(error) if error.class() == ErrorClass::Fatal => Verdict::Fail(failed(&error)),
        Err(error) if error.class().is_retriable() && again => {
            Verdict::Again(wait(error.retry_after()))
        }
        Err(error) => {
            let what = format!(
                "gave up after {attempt} attempts on a {} error: {}",
                error.class(),
                error.chain()
            );
            Verdict::Stuck(stuck(what))
        }
    }
}

fn stuck(what: String) -> Error {
    Error::new(ErrorKind::State, what)
}

fn failed(error: &ProcessError) -> Error {
    let what = format!("the handler failed with a fatal error: {}", error.chain());
    Error::new(ErrorKind::State, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        Patience {
            attempts: 3,
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(1)).jitter(0.0),
            layered: false,
        }
    }

    #[test]
    fn an_ack_and_a_skip_settle_the_record() {
        let verdict = judge(Ok(Outcome::Ack), 1, patience());
        assert!(matches!(verdict, Verdict::Settle(Settled::Acked)));
        let verdict = judge(Ok(Outcome::skip("old")), 1, patience());
        assert!(matches!(verdict, Verdict::Settle(Settled::Skipped)));
    }

    #[test]
    fn an_error_that_nobody_classified_is_tried_again_with_a_bound_and_never_dropped() {
        let error = || Err(ProcessError::transient("reset"));
        for (attempt, millis) in [(1, 100), (2, 200)] {
            let Verdict::Again(wait) = judge(error(), attempt, patience()) else {
                panic!("attempt {attempt} is tried again");
            };
            assert_eq!(wait, Duration::from_millis(millis));
        }
        assert!(matches!(judge(error(), 3, patience()), Verdict::Stuck(_)));
    }

    #[test]
    fn a_named_wait_goes_before_the_backoff() {
        let wait = Duration::from_secs(7);
        let outcome = judge(Ok(Outcome::retry_after(wait, "busy")), 1, patience());
        assert!(matches!(outcome, Verdict::Again(after) if after == wait));
        let error = judge(Err(ProcessError::throttled(wait, "busy")), 1, patience());
        assert!(matches!(error, Verdict::Again(after) if after == wait));
    }

    #[test]
    fn poison_and_dead_letters_without_a_layer_stop_the_lane_at_once() {
        let poison = judge(Err(ProcessError::poison("not JSON")), 1, patience());
        assert!(matches!(poison, Verdict::Stuck(_)));
        let letter = judge(Ok(Outcome::dead_letter("refused")), 1, patience());
        assert!(matches!(letter, Verdict::Stuck(_)));
    }

    #[test]
    fn what_a_stack_that_retries_or_writes_dead_letters_gives_up_is_final() {
        let mut patience = patience();
        patience.layered = true;
        let verdict = judge(Err(ProcessError::transient("no broker")), 1, patience);
        assert!(matches!(verdict, Verdict::Stuck(_)));
    }

    #[test]
    fn a_fatal_error_fails_the_consumer() {
        let verdict = judge(Err(ProcessError::fatal("no key store")), 1, patience());
        assert!(matches!(verdict, Verdict::Fail(_)));
    }
}
