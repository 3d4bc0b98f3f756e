//! The tasks that a cluster handle cannot do without, started anew where the runtime that they ran on has ended.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::cluster::Inner;
use crate::{probe, refresher};

/// Which tasks are to run, and whether they do.
///
/// A handle may outlive the runtime that it was made on, such as one in a `static` that several tests use, each on a runtime of its own.
#[derive(Default)]
pub(crate) struct Upkeep(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    refresher: Life,
    /// How often brokers are asked for a sign of life; `None` where nobody wants any.
    probing: Option<(Duration, Life)>,
}

/// Whether a task lives: it holds the other end.
#[derive(Default)]
struct Life(Weak<()>);

impl Life {
    fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }

    fn begin(&mut self) -> Arc<()> {
        let alive = Arc::new(());
        self.0 = Arc::downgrade(&alive);
        alive
    }
}

impl Inner {
    /// Starts what should run and does not; nothing once the handle is closed, or outside of a runtime.
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

    /// Has each broker asked for a sign of life from now on.
    pub(crate) fn probe_every(self: &Arc<Self>, every: Duration) {
        self.upkeep.0.lock().probing = Some((every, Life::default()));
        self.keep_up();
    }
}
