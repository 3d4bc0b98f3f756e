//! The background tasks of a cluster handle. They are started again if their runtime has ended.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::cluster::Inner;
use crate::{probe, refresher};

/// The background tasks of a handle, and if they run.
///
/// A handle may outlive the runtime on which it was created. An example is a handle in a `static`
/// that several tests use, each with its own runtime.
#[derive(Default)]
pub(crate) struct Upkeep(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// The task that refreshes metadata.
    refresher: Life,
    /// The task that probes brokers, and its interval. `None` if probing was not asked for.
    probing: Option<(Duration, Life)>,
}

/// Shows if a task runs. The task holds the strong reference and drops it at its end.
#[derive(Default)]
struct Life(Weak<()>);

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

impl Inner {
    /// Starts the background tasks that should run and do not. Does nothing once the handle is
    /// closed, or outside of a runtime.
    pub(crate) fn keep_up(self: &Arc<Self>) {
        let mut kept = self.upkeep.0.lock();
        let probing = kept.probing.as_ref();
        let all_live = !kept.refresher.is_over() && probing.is_none_or(|(_, life)| !life.is_over());
        if all_live || self.signals.closing.is_cancelled() || Handle::try_current().is_err() {
            return;
        }
        if kept.refresher.is_over() {
            let alive = kept.refresher.begin();
            let task = refresher::run(Arc::downgrade(self));
            self.dialer.home.tasks.spawn_plain(async move {
                task.await;
                drop(alive);
            });
        }
        if let Some((every, life)) = &mut kept.probing
            && life.is_over()
        {
            let (alive, every) = (life.begin(), *every);
            let task = probe::run(Arc::downgrade(self), every);
            self.dialer.home.tasks.spawn_plain(async move {
                task.await;
                drop(alive);
            });
        }
    }

    /// Starts to probe each broker at this interval.
    pub(crate) fn probe_every(self: &Arc<Self>, every: Duration) {
        self.upkeep.0.lock().probing = Some((every, Life::default()));
        self.keep_up();
    }
}
