//! Runs of a handler. A run has lanes over the assignment, watchers of gates that pause it, and a
//! report at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use milena_core::{
    CancelToken, Event, Gate, GateState, Offset, Reason, Result, Routes, TopicPartition,
};
use pin_project_lite::pin_project;
use tokio::task::JoinSet;

use crate::core::{Core, End, Lanes};
use crate::driven::Driven;
use crate::engine::{Engine, own_runtime};
use crate::lane::{RouteLanes, Serves, heed};
use crate::panics::{caught, contained};
use crate::targets;

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunReport {
    /// Records that the handler acknowledged.
    pub processed: u64,
    /// Records that the handler skipped, with a reason.
    pub skipped: u64,
    /// Records that were written to a dead letter topic.
    pub dead_lettered: u64,
    /// Records that were written to a retry topic, to be read again later.
    pub forwarded: u64,
    /// Records that were done too late to count. Their partition had gone to another member, which
    /// reads them again.
    pub late: u64,
    /// Batches that could not be read and were skipped, as
    /// [`CorruptPolicy::Skip`](crate::CorruptPolicy::Skip) says.
    pub corrupt: u64,
    /// The offset that was committed last, by partition.
    pub committed: BTreeMap<TopicPartition, Offset>,
    /// The reason for the end.
    pub end: RunEnd,
}

/// The reason for an end without an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// A [`ShutdownHandle`] or `close` asked for the end.
    Shutdown,
    /// The handler answered [`Outcome::Stop`](milena_core::Outcome::Stop), for this reason.
    Stopped(Reason),
}

/// A handle that shuts a consumer down gracefully, from anywhere. Its clones end the same consumer.
#[derive(Clone, Debug)]
pub struct ShutdownHandle {
    /// Cancelled to shut down gracefully.
    pub(crate) closing: CancelToken,
    /// Cancelled to end at once.
    pub(crate) at_once: CancelToken,
}

impl ShutdownHandle {
    /// Starts a graceful shutdown and returns without waiting. No more records go to handlers,
    /// lanes drain, offsets are committed, and the group is left. Then `run` returns its report.
    pub fn shutdown(&self) {
        self.closing.cancel();
    }

    /// Ends the consumer at once. Handlers are cut off and nothing more is committed. The next
    /// owner of the partitions reads again what was not committed.
    pub fn shutdown_now(&self) {
        self.closing.cancel();
        self.at_once.cancel();
    }

    /// Handles a signal to end, such as Ctrl-C. The first call is a [`shutdown`](Self::shutdown),
    /// the second a [`shutdown_now`](Self::shutdown_now).
    pub fn signal(&self) {
        if self.closing.is_cancelled() {
            self.at_once.cancel();
        }
        self.closing.cancel();
    }

    /// Returns true once a shutdown was asked for.
    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.closing.is_cancelled()
    }
}

/// The future of a run. [`Consumer::run`](crate::Consumer::run) returns it and lists its errors.
///
/// The type does not name the handler, so that it can be spawned whatever the handler captures.
///
/// # Cancel safety
/// If the future is dropped, everything ends at once.
#[must_use = "futures do nothing unless awaited"]
pub struct Run<'a>(Pin<Box<dyn Future<Output = Result<RunReport>> + Send + 'a>>);

impl Future for Run<'_> {
    type Output = Result<RunReport>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a run that shuts down gracefully when `E` resolves.
    /// [`Consumer::run_until`](crate::Consumer::run_until) returns it.
    ///
    /// # Cancel safety
    /// As for [`Run`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct RunUntil<'a, E> {
        // The run.
        run: Run<'a>,
        // The future that ends the run. `None` once it has resolved.
        #[pin]
        end: Option<E>,
        // The handle that ends the run.
        stop: ShutdownHandle,
    }
}

impl<'a, E> RunUntil<'a, E> {
    pub(crate) fn new(run: Run<'a>, end: E, stop: ShutdownHandle) -> Self {
        let end = Some(end);
        Self { run, end, stop }
    }
}

impl<E: Future> Future for RunUntil<'_, E> {
    type Output = Result<RunReport>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(end) = this.end.as_mut().as_pin_mut()
            && end.poll(cx).is_ready()
        {
            this.stop.shutdown();
            this.end.set(None);
        }
        Pin::new(this.run).poll(cx)
    }
}

impl<E> fmt::Debug for RunUntil<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunUntil").finish_non_exhaustive()
    }
}

/// Processes records until the consumer ends.
pub(crate) fn run<R: Driven>(engine: &Engine, routes: R) -> Run<'_> {
    Run(Box::pin(async move {
        let ended = process(engine, routes).await;
        if let Err(error) = &ended {
            engine.core.may_not_start(error);
        }
        ended
    }))
}

/// Checks the routes, starts their lanes, and closes the consumer at the end.
async fn process<R: Driven>(engine: &Engine, routes: R) -> Result<RunReport> {
    contained("the check of the routes", || routes.check())??;
    let core = &engine.core;
    tokio::select! {
        biased;
        () = core.closing.cancelled() => {}
        checked = targets::check(core, routes.routes()) => checked?,
    }
    let routes = Arc::new(routes);
    let lanes: Arc<dyn Lanes> = Arc::new(RouteLanes {
        core: Arc::downgrade(core),
        routes: Arc::clone(&routes),
        runtime: own_runtime()?,
    });
    core.process_by(&lanes)?;
    engine.start()?;
    tracing::info!(
        group = core.settings.group_name(),
        subscription = ?core.settings.subscription(),
        "the consumer starts"
    );
    let abandoned = Abandoned(Some(engine));
    // Aborted when this function returns.
    let mut gates = JoinSet::new();
    let mut told: Vec<Gate> = Vec::new();
    for (route, info) in routes.routes().iter().enumerate() {
        for gate in info.gates.clone() {
            // A gate that several routes share is reported once.
            if !told.iter().any(|known| known.same(&gate)) {
                told.push(gate.clone());
                gates.spawn(tell_of_gate(Arc::clone(core), gate.clone()));
            }
            let watching = watch_gate(Arc::clone(core), Arc::clone(&routes), route, gate);
            let core = Arc::clone(core);
            gates.spawn(async move {
                if let Err(error) = caught("the watcher of a gate", watching).await {
                    core.fail(error);
                }
            });
        }
    }
    tokio::select! {
        biased;
        _ = core.until_end() => {}
        () = core.closing.cancelled() => {}
    }
    engine.close().await;
    abandoned.finished();
    let ended = report(core);
    if let Ok(report) = &ended {
        let RunReport {
            processed,
            skipped,
            dead_lettered,
            forwarded,
            late,
            ..
        } = report;
        let group = core.settings.group_name();
        tracing::info!(group, processed, skipped, dead_lettered, forwarded, late, end = ?report.end, "run ended");
    }
    ended
}

/// Reports each change of a gate to observers.
async fn tell_of_gate(core: Arc<Core>, gate: Gate) {
    let mut watch = gate.watch();
    let mut state = gate.state();
    let mut was_open = true;
    loop {
        let group = core.settings.group_name();
        match &state {
            GateState::Closed(reason) => core.observers().emit(|| Event::GateClosed {
                group,
                gate: gate.name(),
                reason,
            }),
            GateState::Open if !was_open => core.observers().emit(|| Event::GateOpened {
                group,
                gate: gate.name(),
            }),
            GateState::Open => {}
        }
        was_open = state == GateState::Open;
        state = watch.changed().await;
    }
}

/// Pauses and resumes the partitions of a route as its gate changes.
async fn watch_gate<R: Routes>(core: Arc<Core>, routes: Arc<R>, route: usize, gate: Gate) {
    let mut watch = gate.watch();
    let mut state = gate.state();
    loop {
        if let Some(info) = routes.routes().get(route) {
            for partition in core.partitions() {
                if info.serves(&partition) {
                    heed(&core, &partition, &gate, &state);
                }
            }
        }
        state = watch.changed().await;
    }
}

/// Returns the report of a run that has ended, or the error that ended it.
fn report(core: &Core) -> Result<RunReport> {
    let end = match core.ended() {
        Some(End::Failed(error)) => return Err(error),
        Some(End::Stopped(reason)) => RunEnd::Stopped(reason),
        Some(End::Closed) | None => RunEnd::Shutdown,
    };
    let counts = &core.counts;
    Ok(RunReport {
        processed: counts.processed.sum(),
        skipped: counts.skipped.load(Ordering::Relaxed),
        dead_lettered: counts.dead_lettered.load(Ordering::Relaxed),
        forwarded: counts.forwarded.load(Ordering::Relaxed),
        late: counts.late.load(Ordering::Relaxed),
        corrupt: counts.corrupt.load(Ordering::Relaxed),
        committed: counts.committed.lock().clone(),
        end,
    })
}

/// Guard that ends the consumer at once if the future of a run is dropped.
struct Abandoned<'a>(Option<&'a Engine>);

impl Abandoned<'_> {
    fn finished(mut self) {
        self.0 = None;
    }
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(engine) = self.0 {
            engine.abort();
        }
    }
}
