//! The tasks of a cluster's connections. Closing the cluster handle ends all of them.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::outgoing::Shared;

/// The tasks of a cluster handle. Clones share the list.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<TaskList>>);

#[derive(Default)]
struct TaskList {
    /// The tasks that have not been joined.
    set: JoinSet<()>,
    /// The queues of the connections, to end each connection on close.
    connections: Vec<Weak<Shared>>,
    /// True once the handle is closed. No task starts afterwards.
    closed: bool,
}

impl Tasks {
    /// Starts the task of a connection. Fails once the handle is closed.
    pub(crate) fn spawn(
        &self,
        shared: &Arc<Shared>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let mut list = self.0.lock();
        if list.closed {
            return Err(closed());
        }
        // Remove ended tasks and connections. The lists would otherwise grow with each reconnect.
        while list.set.try_join_next().is_some() {}
        list.connections.retain(|weak| weak.strong_count() > 0);
        list.connections.push(Arc::downgrade(shared));
        list.set.spawn(task);
        Ok(())
    }

    /// Starts another task, unless the handle is closed. The task must end by itself on close.
    pub(crate) fn spawn_plain(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut list = self.0.lock();
        if !list.closed {
            while list.set.try_join_next().is_some() {}
            list.set.spawn(task);
        }
    }

    /// Ends every connection and waits for the tasks. Aborts tasks that take longer than a second.
    pub(crate) async fn close(&self) {
        let (mut set, connections) = {
            let mut list = self.0.lock();
            list.closed = true;
            (
                std::mem::take(&mut list.set),
                std::mem::take(&mut list.connections),
            )
        };
        for connection in connections.iter().filter_map(Weak::upgrade) {
            connection.shut();
        }
        let ended = timeout(Duration::from_secs(1), async {
            while set.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            set.shutdown().await;
        }
    }
}

impl Drop for TaskList {
    fn drop(&mut self) {
        // Connections end with their own handles. Dropping the set must not abort their tasks.
        self.set.detach_all();
    }
}

/// Creates the error of a closed handle.
pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the cluster handle was closed")
}
