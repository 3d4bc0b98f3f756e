//! Runs of a handler. A run has lanes over the assignment, watchers of gates that pause it, and a
//! report at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use milena_core::{Gauge, Offset, Result, RouteInfo, TopicPartition};
use milena_lanes::{Drive, Driven, Report, RunEnd, ShutdownHandle, drive};
use pin_project_lite::pin_project;

use crate::assignment::Lanes;
use crate::engine::Engine;
use crate::feed::{ConsumerSource, PartitionFeed};
use crate::partition::Partition;
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
            engine.core.lifecycle.may_not_start(error);
        }
        ended
    }))
}

/// Processes records with these routes, and closes the consumer at the end.
async fn process<R: Driven>(engine: &Engine, routes: R) -> Result<RunReport> {
    let run = HandlerRun {
        engine,
        source: Arc::new(ConsumerSource::new(&engine.core)),
    };
    let Report {
        processed,
        skipped,
        dead_lettered,
        forwarded,
        late,
        end,
        ..
    } = drive(&run, routes).await?;
    let group = engine.core.settings.group_name();
    tracing::info!(
        group,
        processed,
        skipped,
        dead_lettered,
        forwarded,
        late,
        ?end,
        "run ended"
    );
    let counts = &engine.core.counts;
    Ok(RunReport {
        processed,
        skipped,
        dead_lettered,
        forwarded,
        late,
        corrupt: counts.corrupt.load(Ordering::Relaxed),
        committed: engine.core.commits.done(),
        end,
    })
}

/// One run of a handler, as lanes start and end it.
struct HandlerRun<'a> {
    /// The tasks of the consumer.
    engine: &'a Engine,
    /// The consumer as its lanes see it.
    source: Arc<ConsumerSource>,
}

impl Drive for HandlerRun<'_> {
    type Source = ConsumerSource;

    fn source(&self) -> &Arc<ConsumerSource> {
        &self.source
    }

    async fn prepare(&self, routes: &[RouteInfo]) -> Result<()> {
        let core = &self.engine.core;
        let subscription = core.group.subscription.borrow().clone();
        tokio::select! {
            biased;
            () = core.lifecycle.closing().cancelled() => Ok(()),
            checked = targets::check(&core.cluster, &subscription, &core.assignment, routes) => checked,
        }
    }

    fn begin(&self, lanes: Arc<dyn milena_lanes::Lanes<PartitionFeed>>) -> Result<()> {
        let core = &self.engine.core;
        let lanes: Arc<dyn Lanes> = Arc::new(PartitionLanes {
            source: Arc::downgrade(&self.source),
            lanes,
        });
        let automatic = !core.settings.manual_commit;
        core.assignment
            .process_by(&lanes, &core.commits, automatic)?;
        self.engine.start()?;
        tracing::info!(
            group = core.settings.group_name(),
            subscription = ?core.settings.subscription(),
            "the consumer starts"
        );
        Ok(())
    }

    async fn until_end(&self) {
        let core = &self.engine.core;
        tokio::select! {
            biased;
            _ = core.lifecycle.until_end() => {}
            () = core.lifecycle.closing().cancelled() => {}
        }
    }

    async fn close(&self) {
        self.engine.close().await;
    }

    fn abort(&self) {
        self.engine.abort();
    }
}

/// The lanes of a handler, which start for each assigned partition.
struct PartitionLanes {
    /// The consumer of the run. Weak, since the consumer owns these lanes and with them everything
    /// that the handler captured.
    source: Weak<ConsumerSource>,
    /// The lanes.
    lanes: Arc<dyn milena_lanes::Lanes<PartitionFeed>>,
}

impl Lanes for PartitionLanes {
    fn start(&self, partition: &Arc<Partition>) {
        if let Some(source) = self.source.upgrade() {
            self.lanes.start(&source.feed(partition));
        }
    }

    fn read_gauges(&self, group: &str, sink: &mut dyn FnMut(Gauge<'_>)) {
        self.lanes.read_gauges(group, sink);
    }

    fn route_name(&self, route: usize) -> Arc<str> {
        self.lanes.route_name(route)
    }
}
