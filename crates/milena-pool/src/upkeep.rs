//! The background tasks of a cluster handle. They are started again if their runtime has ended.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::core::ClusterCore;
use crate::{probe, refresher};

/// The background tasks of a handle, and if they run.
///
/// A handle may outlive the runtime on which it was created. An example is a handle in a `static`
/// that several tests use, each with its own runtime.
#[derive(Default)]
pub(crate) struct Upkeep(Mutex<Background>);

/// Shows which background tasks should run, and which of them do.
#[derive(Default)]
struct Background {
    /// The task that refreshes metadata.
    refresher: Life,
    /// The task that probes brokers, and its interval. `None` if probing was not asked for.
    probing: Option<(Duration, Life)>,
}

/// Shows if a task runs. The task holds the strong reference and drops it at its end.
#[derive(Default)]
struct Life(Weak<()>);

impl Upkeep {
    /// Starts the background tasks of `core` that should run and do not. Does nothing once the
    /// handle is closed, or outside of a runtime.
    pub(crate) fn keep_up(&self, core: &Arc<ClusterCore>) {
        let mut background = self.0.lock();
        let probing = background.probing.as_ref();
        let all_live =
            !background.refresher.is_over() && probing.is_none_or(|(_, life)| !life.is_over());
        if all_live || core.signals.closing.is_cancelled() || Handle::try_current().is_err() {
            return;
        }
        let tasks = &core.dialer.home.tasks;
        if background.refresher.is_over() {
            let alive = background.refresher.begin();
            let task = refresher::run(Arc::downgrade(core));
            tasks.spawn_plain(async move {
                task.await;
                drop(alive);
            });
        }
        if let Some((every, life)) = &mut background.probing
            && life.is_over()
        {
            let (alive, every) = (life.begin(), *every);
            let task = probe::run(Arc::downgrade(core), every);
            tasks.spawn_plain(async move {
                task.await;
                drop(alive);
            });
        }
    }

    /// Starts to probe each broker of `core` at this interval.
    pub(crate) fn probe_every(&self, every: Duration, core: &Arc<ClusterCore>) {
        let every = every.max(probe::SHORTEST);
        self.0.lock().probing = Some((every, Life::default()));
        self.keep_up(core);
    }
}

impl Life {
    /// Returns true if the task has ended or was never started.
    fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }

    /// Returns the strong reference for a new task.
    fn begin(&mut self) -> Arc<()> {
        let alive = Arc::new(());
        self.0 = Arc::downgrade(&alive);
        alive
    }
}
