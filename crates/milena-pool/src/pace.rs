//! Decides when metadata is asked for next: at once while answers bring news, and later and later
//! while they do not.

use std::time::Duration;

use milena_core::Backoff;
use tokio::time::Instant;

/// The waits between refreshes of one kind. They grow with each refresh that failed or brought
/// nothing new (KIP-580).
#[derive(Debug)]
pub(crate) struct Pace {
    /// Number of waits since the last refresh that brought something new. 0 before the first
    /// refresh and after a pause. Each refresh adds one, and one with news first sets it to 0.
    fruitless: u32,
    /// True if the last refresh failed. The next one then starts without a request.
    pub(crate) failed: bool,
    /// The time before which the next refresh does not start. New single topics do not wait for it.
    pub(crate) not_before: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            fruitless: 0,
            failed: false,
            not_before: now,
        }
    }

    /// Returns true if the last refreshes brought nothing new. Another broker may then know more.
    pub(crate) fn is_fruitless(&self) -> bool {
        self.fruitless > 1
    }

    /// Notes that a refresh begins. After a pause the waits start again from the shortest one,
    /// because earlier refreshes have nothing to do with this one.
    pub(crate) fn begin(&mut self, now: Instant) {
        if now.saturating_duration_since(self.not_before) > PAUSE {
            self.fruitless = 0;
        }
    }

    /// Notes the result of a refresh that ended at `now`. `is_new` is true if it brought something
    /// new, and `None` if it failed.
    pub(crate) fn note(&mut self, now: Instant, is_new: Option<bool>, backoff: &Backoff) {
        self.failed = is_new.is_none();
        if is_new == Some(true) {
            self.fruitless = 0;
        }
        self.not_before = now + backoff.delay(self.fruitless);
        self.fruitless = self.fruitless.saturating_add(1);
    }
}

/// The next step of the refresher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Refresh the whole metadata.
    Whole,
    /// Ask for single topics.
    Part,
    /// Wait until this time or until woken.
    WaitUntil(Instant),
}

/// The requests that the refresher has to serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// True if the whole metadata was requested and not refreshed yet.
    pub(crate) whole: bool,
    /// The time of the next refresh that nobody requested.
    pub(crate) due: Instant,
    /// `Some` if single topics were requested. It holds true if one of them is new.
    pub(crate) part: Option<bool>,
}

/// Returns the step to do at `now`.
pub(crate) fn next(now: Instant, need: Need, whole: &Pace, part: &Pace) -> Next {
    let whole_at = if need.whole || whole.failed {
        whole.not_before
    } else {
        need.due.max(whole.not_before)
    };
    if whole_at <= now {
        return Next::Whole;
    }
    let part_at = need.part.map(|urgent| {
        // New topics need not wait for the backoff of known ones. A cluster that does not answer
        // still gets its backoff.
        if urgent && !part.failed {
            now
        } else {
            part.not_before
        }
    });
    match part_at {
        Some(at) if at <= now => Next::Part,
        Some(at) => Next::WaitUntil(at.min(whole_at)),
        None => Next::WaitUntil(whole_at),
    }
}

/// Time without refreshes after which the waits start again from the shortest one.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn idle(now: Instant) -> Need {
        Need {
            whole: false,
            due: now + 300_000 * MS,
            part: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_while_renewals_bring_nothing_and_starts_anew_when_one_does() {
        let backoff = Backoff::default().jitter(0.0);
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let mut wait = |is_new| {
            pace.note(now, is_new, &backoff);
            pace.not_before.duration_since(now).as_millis()
        };
        assert_eq!(wait(Some(true)), 100);
        let waits = [None, Some(false), None, Some(false)].map(&mut wait);
        assert_eq!(waits, [200, 400, 800, 1_000]);
        assert_eq!(wait(Some(true)), 100);
        assert_eq!(wait(Some(false)), 200);
        pace.begin(now + 300 * MS);
        pace.note(now, Some(false), &backoff);
        assert_eq!(pace.not_before, now + 400 * MS, "no pause");
        pace.begin(now + 2_000 * MS);
        pace.note(now, Some(false), &backoff);
        assert_eq!(pace.not_before, now + 100 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_topic_is_asked_for_at_once_and_a_known_one_in_its_turn() {
        let backoff = Backoff::default().jitter(0.0);
        let now = Instant::now();
        let (mut whole, mut part) = (Pace::new(now), Pace::new(now));
        whole.note(now, Some(true), &backoff);
        part.note(now, Some(true), &backoff);
        let soon = now + 100 * MS;
        let wants = |part| Need { part, ..idle(now) };
        assert_eq!(next(now, wants(Some(true)), &whole, &part), Next::Part);
        let later = next(now, wants(Some(false)), &whole, &part);
        assert_eq!(later, Next::WaitUntil(soon));
        part.note(now, None, &backoff);
        let later = next(now, wants(Some(true)), &whole, &part);
        assert!(matches!(later, Next::WaitUntil(at) if at > now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_failed_is_tried_again_without_being_asked_for() {
        let backoff = Backoff::default().jitter(0.0);
        let now = Instant::now();
        let (mut whole, part) = (Pace::new(now), Pace::new(now));
        whole.note(now, Some(false), &backoff);
        assert_eq!(
            next(now, idle(now), &whole, &part),
            Next::WaitUntil(now + 300_000 * MS)
        );
        whole.note(now, None, &backoff);
        let again = now + 200 * MS;
        assert_eq!(next(now, idle(now), &whole, &part), Next::WaitUntil(again));
        assert_eq!(next(again, idle(now), &whole, &part), Next::Whole);
    }
}
