//! The health: who is watched, what is remembered, and the judgement.

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
use crate::clients::{ClientId, Clients, Joined};
use crate::http::HttpBuilder;
use crate::notes::Notes;
use crate::report::{Check, Phase, Report, State};
use crate::sample::{Sample, Watched};
use crate::settings::HealthBuilder;

/// The health of this process' clients. A clone is the same health.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    settings: HealthBuilder,
    notes: Mutex<Notes>,
    watched: Mutex<Vec<Watched>>,
    own: Mutex<Vec<(String, Own)>>,
    judged: Mutex<Judged>,
    /// Whether the program itself has said so.
    stopping: AtomicBool,
    clients: Clients,
}

/// A program's own check.
type Own = Arc<dyn Fn() -> (State, String) + Send + Sync>;

/// What is remembered from one judgement to the next.
#[derive(Default)]
struct Judged {
    memory: Memory,
    since: HashMap<String, (State, Instant)>,
}

impl Health {
    /// A health with the usual limits.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Sets up a health.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::default()
    }

    pub(crate) fn start(settings: HealthBuilder) -> Self {
        Self(Arc::new(Inner {
            settings,
            notes: Mutex::default(),
            watched: Mutex::default(),
            own: Mutex::default(),
            judged: Mutex::default(),
            stopping: AtomicBool::new(false),
            clients: Clients::default(),
        }))
    }

    /// Looks at these figures, too. A client that is given the health has its own looked at already.
    pub fn watch(&self, gauges: Arc<dyn Gauges>) {
        self.watch_as(ClientId::default(), gauges);
    }

    pub(crate) fn watch_as(&self, client: ClientId, gauges: Arc<dyn Gauges>) {
        self.0.watched.lock().push((client, gauges));
    }

    pub(crate) fn note(&self, client: ClientId, event: &Event<'_>) {
        // Those of each batch say nothing here: nobody waits for a lock because of them.
        let per_batch = matches!(
            event,
            Event::BatchDelivered { .. } | Event::Fetched { .. } | Event::Received { .. }
        );
        if !per_batch {
            self.0.notes.lock().on(client, event);
        }
    }

    /// A client is gone, with all that was its own.
    pub(crate) fn forget(&self, client: ClientId, was_closed: bool) {
        self.0.watched.lock().retain(|(of, _)| *of != client);
        self.0.notes.lock().forget(client, !was_closed);
    }

    /// Adds a check of the program's own; asked at each look, it must answer at once. One that panics is failing.
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

    /// From now on it is not ready, and still alive: the program is shutting down. Closing the last client that was given the health does
    /// it, too.
    pub fn shut_down(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// Takes part as one of several clients, whose last one to close shuts the health down. A client that is given the health does it.
    #[must_use = "dropped, it takes no part any more"]
    pub fn join(&self) -> Joined {
        Joined::new(self)
    }

    pub(crate) fn clients(&self) -> &Clients {
        &self.0.clients
    }

    /// How often brokers are to be asked for a sign of life.
    #[must_use]
    pub fn probe_interval(&self) -> Duration {
        self.0.settings.probe_interval
    }

    /// Sets up the page.
    pub fn http(&self) -> HttpBuilder {
        HttpBuilder::new(self.clone())
    }

    /// Looks, and judges.
    ///
    /// Clients tell since when things are as they are, so that the first look is as right as any other.
    #[must_use]
    pub fn report(&self) -> Report {
        let inner = &*self.0;
        let (now, clock) = (Instant::now(), Timestamp::now());
        // Clients' own locks are taken within: none of this one's is held meanwhile.
        let watched = {
            let mut watched = inner.watched.lock();
            watched.retain(|(_, gauges)| !gauges.is_gone());
            watched.clone()
        };
        let sample = Sample::take(&watched);
        let own = inner.own.lock().clone();
        let own: Vec<_> = own.into_iter().map(ask).collect();
        let open = inner.clients.open();

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
                settings: &inner.settings,
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

/// Asks a program's own check; its panic is an answer, too.
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
        // Not kept from look to look: one that came before a consumer was started says nothing of it.
        let started = contact && waits_for.is_empty();
        let state = verdicts.iter().map(|verdict| verdict.state).max();
        let state = state.unwrap_or(State::Ok);
        // While it ends by itself, a restart does not help.
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

impl Default for Health {
    fn default() -> Self {
        Self::new()
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
            .field("settings", &self.0.settings)
            .finish_non_exhaustive()
    }
}
