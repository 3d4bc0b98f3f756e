//! The tasks of a consumer. They start at its first use, and end gracefully or when the consumer is
//! dropped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use milena_core::{Error, ErrorKind, Gauge, Result};
use milena_lanes::End;
use milena_pool::{BoxFuture, ClusterUser, EndStage};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::core::Core;
use crate::partition::Partition;
use crate::shutdown_log::ShutdownLog;
use crate::supervise::{GROUP, Left, Supervisor};
use crate::{commit, fetch, gauges, group, positions, unread};

/// Owns the tasks of one consumer.
pub(crate) struct Engine {
    /// The state that the tasks share.
    pub(crate) core: Arc<Core>,
    /// The supervisor task, which owns all other tasks. `None` until the consumer starts.
    supervisor: Mutex<Option<AbortHandle>>,
    /// True once the tasks were started. A copy of `supervisor.is_some()` without the lock, since
    /// it is read for every record.
    started: AtomicBool,
    /// True once the log says that the consumer shuts down.
    told: AtomicBool,
    /// True while no group task runs, that is before the start, without a group, and after the task
    /// has ended.
    left: watch::Sender<bool>,
}

impl Engine {
    /// Returns an engine and registers it with the cluster, which ends it before the cluster's
    /// connections.
    pub(crate) fn new(core: Arc<Core>) -> Arc<Self> {
        let engine = Arc::new(Self {
            core,
            supervisor: Mutex::new(None),
            started: AtomicBool::new(false),
            told: AtomicBool::new(false),
            left: watch::Sender::new(true),
        });
        let user: Weak<Self> = Arc::downgrade(&engine);
        engine.core.cluster.add_user(EndStage::Readers, user);
        engine
    }

    /// Starts the tasks. Does nothing if they were started before.
    ///
    /// # Errors
    /// [`ErrorKind::State`] outside a tokio runtime.
    #[inline]
    pub(crate) fn start(&self) -> Result<()> {
        if self.started.load(Ordering::Acquire) {
            return Ok(());
        }
        self.start_now()
    }

    #[cold]
    fn start_now(&self) -> Result<()> {
        let mut slot = self.supervisor.lock();
        if slot.is_some() {
            return Ok(());
        }
        let runtime = own_runtime()?;
        let core = &self.core;
        core.run_on(runtime.clone());
        let mut supervisor = Supervisor::new(Arc::clone(core), &self.left);
        let fetcher = fetch::run(Arc::clone(core));
        supervisor.start(&runtime, "the task that fetches", fetcher);
        let positions = positions::run(Arc::clone(core));
        supervisor.start(&runtime, "the task that looks positions up", positions);
        if core.settings.group.is_some() {
            self.left.send_replace(false);
            let left = Left(self.left.clone());
            let member = group::run(Arc::clone(core));
            let member = async move {
                let _left = left;
                member.await;
            };
            supervisor.start(&runtime, GROUP, member);
            let commits = commit::run(Arc::clone(core));
            supervisor.start(&runtime, "the task that commits", commits);
            let unread = unread::run(Arc::clone(core));
            supervisor.start(&runtime, "the task that watches receivers", unread);
        }
        *slot = Some(runtime.spawn(supervisor.run()).abort_handle());
        self.started.store(true, Ordering::Release);
        Ok(())
    }

    /// Shuts down gracefully, by stopping dispatch, draining lanes, committing, and leaving the
    /// group. A further call waits for the same end.
    pub(crate) async fn close(&self) {
        self.core.lifecycle.closing().cancel();
        let started = self.started.load(Ordering::Acquire);
        let group = self.core.settings.group_name();
        let told = ShutdownLog::begin(&self.core.assignment, group, started, &self.told);
        tokio::select! {
            biased;
            () = self.core.lifecycle.at_once().cancelled() => told.at_once(),
            ended = timeout(self.core.settings.shutdown_timeout, self.wind_up()) => match ended {
                Ok(()) => told.done(),
                Err(_) => told.cut_off(),
            },
            () = told.tell_what_is_waited_for() => {}
        }
        self.abort();
    }

    /// Waits until the group is left and lanes have drained.
    async fn wind_up(&self) {
        let mut left = self.left.subscribe();
        // Cannot fail, since the sender lives as long as `self`.
        let _ = left.wait_for(|left| *left).await;
        let partitions = self.core.assignment.partitions();
        for partition in &partitions {
            partition.stop();
        }
        // Only a consumer without a group still has partitions here. A group's task gives its
        // partitions back before it ends.
        let drained = async {
            for partition in &partitions {
                partition.drained().await;
            }
        };
        let _ = timeout(self.core.settings.drain_timeout, drained).await;
    }

    /// Removes partitions from the assignment. Handlers may finish the records that they have, for
    /// at most the drain timeout.
    pub(crate) fn let_go(&self, partitions: Vec<Arc<Partition>>) {
        let core = &self.core;
        for partition in &partitions {
            partition.stop();
        }
        core.assignment.forget(&partitions);
        let limit = core.settings.drain_timeout;
        for partition in partitions {
            // Handlers may finish the records that they have. Their results count only until the
            // fence, at most the drain timeout from now.
            match core.lifecycle.runtime() {
                Some(runtime) if partition.is_worked_on() => {
                    drop(runtime.spawn(async move {
                        let _ = timeout(limit, partition.drained()).await;
                        let _ = partition.fence();
                    }));
                }
                _ => {
                    let _ = partition.fence();
                }
            }
        }
    }

    /// Ends everything at once. Nothing is committed.
    pub(crate) fn abort(&self) {
        // This comes first. A task that ends while no end is noted counts as a failure.
        self.core.lifecycle.end(End::Closed);
        if let Some(supervisor) = &*self.supervisor.lock() {
            supervisor.abort();
        }
        self.core
            .assignment
            .release(&self.core.assignment.partitions());
        self.core.assignment.process_no_more();
        self.core.membership.send_replace(None);
        self.left.send_replace(true);
    }
}

/// Returns the tokio runtime of the calling thread.
///
/// # Errors
/// [`ErrorKind::State`] outside of a runtime.
pub(crate) fn own_runtime() -> Result<Handle> {
    Handle::try_current().map_err(|cause| {
        let what = "a consumer must be used inside a tokio runtime";
        Error::new(ErrorKind::State, what).with_source(cause)
    })
}

impl ClusterUser for Engine {
    fn end(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.close().await })
    }

    fn read_gauges(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        gauges::read(&self.core, sink);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.abort();
    }
}
