//! The health of a process. It holds the watched figures, the state between looks, and makes the
//! report.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use milena_core::{Event, Gauges, Observer, Timestamp, panic_text};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::checks::{Look, Memory, Verdict};
use crate::clients::{ClientId, Clients};
use crate::limits::CheckLimits;
use crate::notes::Notes;
use crate::report::{Check, Phase, Report, State};
use crate::sample::{Sample, WatchedGauges};

/// The health of this process' clients. A clone is the same health.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

/// The state that all clones share. The locks are taken one after the other, except `notes` within
/// `judged`.
struct Inner {
    /// The limits of the checks.
    limits: CheckLimits,
    /// The state left by clients' events.
    notes: Mutex<Notes>,
    /// The gauges to read, with the client they belong to. Those that are gone are removed at the
    /// next look.
    watched: Mutex<Vec<WatchedGauges>>,
    /// The program's own checks by name, in the order they were added.
    own: Mutex<Vec<(String, Own)>>,
    /// The state kept between looks. Locked for the judgement, so that looks do not overlap.
    judged: Mutex<Judged>,
    /// True once the program called [`Health::shut_down`]. Never reset.
    stopping: AtomicBool,
    /// The clients that have joined.
    clients: Clients,
}

/// A check of the program's own.
type Own = Arc<dyn Fn() -> (State, String) + Send + Sync>;

/// The state kept from one look to the next.
#[derive(Default)]
struct Judged {
    /// The state of the built-in checks.
    memory: Memory,
    /// The last state of each check, and the time since when it holds.
    since: HashMap<String, (State, Instant)>,
}

impl Health {
    /// Makes a health with these limits.
    pub(crate) fn start(limits: CheckLimits) -> Self {
        Self(Arc::new(Inner {
            limits,
            notes: Mutex::default(),
            watched: Mutex::default(),
            own: Mutex::default(),
            judged: Mutex::default(),
            stopping: AtomicBool::new(false),
            clients: Clients::default(),
        }))
    }

    /// Reads these gauges at each look, too. The gauges of a client that was built with this health
    /// are read already.
    pub fn watch(&self, gauges: Arc<dyn Gauges>) {
        self.watch_as(ClientId::default(), gauges);
    }

    /// Reads these gauges at each look as those of `client`.
    pub(crate) fn watch_as(&self, client: ClientId, gauges: Arc<dyn Gauges>) {
        self.0.watched.lock().push((client, gauges));
    }

    /// Takes in an event of `client`.
    pub(crate) fn note(&self, client: ClientId, event: &Event<'_>) {
        // Events per batch tell nothing about health. They are frequent, and skipping them spares
        // their senders the lock.
        let per_batch = matches!(
            event,
            Event::BatchDelivered { .. } | Event::Fetched { .. } | Event::Received { .. }
        );
        if !per_batch {
            self.0.notes.lock().on(client, event);
        }
    }

    /// Forgets a client that is gone. Failures of its consumers stay known unless it was closed.
    pub(crate) fn forget(&self, client: ClientId, was_closed: bool) {
        self.0.watched.lock().retain(|(of, _)| *of != client);
        self.0.notes.lock().forget(client, !was_closed);
    }

    /// Adds a check of the program's own. It is called at each look and must return at once. A
    /// check that panics is failing.
    ///
    /// ```
    /// use milena_health::{Health, State};
    ///
    /// let health = Health::new();
    /// health.check("warehouse", || (State::Degraded, "open on weekdays".into()));
    /// assert_eq!(health.report().check("warehouse").unwrap().state, State::Degraded);
    /// ```
    pub fn check(
        &self,
        name: impl Into<String>,
        look: impl Fn() -> (State, String) + Send + Sync + 'static,
    ) {
        self.0.own.lock().push((name.into(), Arc::new(look)));
    }

    /// Makes the health not ready but still alive, because the program is shutting down. Closing
    /// the last client that was built with this health does the same.
    pub fn shut_down(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    pub(crate) fn clients(&self) -> &Clients {
        &self.0.clients
    }

    /// Returns the time between two requests that test whether a broker answers.
    #[must_use]
    pub fn probe_interval(&self) -> Duration {
        self.0.limits.probe_interval
    }

    /// Looks at all figures, runs all checks, and returns the report.
    ///
    /// Clients keep the start times of their troubles, so the first look is as accurate as later
    /// ones.
    #[must_use]
    pub fn report(&self) -> Report {
        let inner = &*self.0;
        let (now, clock) = (Instant::now(), Timestamp::now());
        // Reading gauges takes locks of the clients. No lock of this health is held meanwhile, to
        // rule out deadlocks.
        let watched = {
            let mut watched = inner.watched.lock();
            watched.retain(|(_, gauges)| !gauges.is_gone());
            watched.clone()
        };
        let sample = Sample::take(&watched);
        let own = inner.own.lock().clone();
        let own: Vec<_> = own.into_iter().map(ask).collect();
        let open = inner.clients.open();

        // From here on looks run one at a time.
        let mut judged = inner.judged.lock();
        judged.memory.keep(now, &sample);
        let (mut verdicts, contact) = {
            let notes = inner.notes.lock();
            let look = Look {
                now,
                open: &open,
                notes: &notes,
                sample: &sample,
                memory: &judged.memory,
                limits: &inner.limits,
            };
            (look.verdicts(), look.has_contact())
        };
        verdicts.extend(own);
        judged.report(
            verdicts,
            &sample,
            contact,
            inner.stopping.load(Ordering::Acquire) || inner.clients.last_closed(),
            (now, clock),
        )
    }
}

/// Calls a check of the program's own. A panic in it counts as failing.
fn ask((name, look): (String, Own)) -> Verdict {
    match catch_unwind(AssertUnwindSafe(|| look())) {
        Ok((state, reason)) => Verdict::new(&name, state, reason),
        Err(panic) => {
            let reason = format!("the check panicked: {}", panic_text(&*panic));
            Verdict::new(&name, State::Failing, reason)
        }
    }
}

impl Judged {
    /// Makes the report from the verdicts, and keeps each state's start time for the next one.
    fn report(
        &mut self,
        verdicts: Vec<Verdict>,
        sample: &Sample,
        contact: bool,
        stopping: bool,
        (now, clock): (Instant, Timestamp),
    ) -> Report {
        let waits_for = sample.members.iter().filter(|(_, all)| !all.joined);
        let waits_for: BTreeSet<_> = waits_for.map(|((_, group), _)| group.clone()).collect();
        // Computed anew at each look. A consumer that was started since then is not a member yet,
        // which an earlier result would hide.
        let started = contact && waits_for.is_empty();
        let state = verdicts.iter().map(|verdict| verdict.state).max();
        let state = state.unwrap_or(State::Ok);
        // During a shutdown the program ends by itself, so a restart does not help.
        let live = stopping || !verdicts.iter().any(|verdict| verdict.dead);
        let mut before = std::mem::take(&mut self.since);
        let checks = verdicts.into_iter().map(|verdict| {
            let since = match before.remove(&verdict.name) {
                Some((same, since)) if same == verdict.state => since,
                _ => now,
            };
            self.since
                .insert(verdict.name.clone(), (verdict.state, since));
            let age = now.saturating_duration_since(since).as_millis();
            let age = i64::try_from(age).unwrap_or(i64::MAX);
            Check {
                name: verdict.name,
                state: verdict.state,
                reason: verdict.reason,
                since: Timestamp::from_millis(clock.to_millis().saturating_sub(age)),
            }
        });
        let checks = checks.collect();
        Report {
            state,
            phase: match (stopping, started) {
                (true, _) => Phase::Stopping,
                (false, true) => Phase::Running,
                (false, false) => Phase::Starting,
            },
            live,
            ready: started && !stopping && state != State::Failing,
            started,
            waits_for: waits_for.into_iter().collect(),
            checks,
        }
    }
}

impl Observer for Health {
    fn on(&self, event: &Event<'_>) {
        self.note(ClientId::default(), event);
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health")
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}
