//! The tasks of a cluster's connections, so that closing it ends every one.

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::outgoing::Shared;

/// Where the tasks are kept. A clone is the same.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    set: JoinSet<()>,
    connections: Vec<Weak<Shared>>,
    closed: bool,
}

impl Tasks {
    /// Starts the task of a connection; refused once closed.
    pub(crate) fn spawn(
        &self,
        shared: &Arc<Shared>,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<()> {
        let mut inner = self.0.lock();
        if inner.closed {
            return Err(closed());
        }
        while inner.set.try_join_next().is_some() {}
        inner.connections.retain(|weak| weak.strong_count() > 0);
        inner.connections.push(Arc::downgrade(shared));
        inner.set.spawn(task);
        Ok(())
    }

    /// Starts any other task; it must end by itself once the cluster is closed.
    pub(crate) fn spawn_plain(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut inner = self.0.lock();
        if !inner.closed {
            while inner.set.try_join_next().is_some() {}
            inner.set.spawn(task);
        }
    }

    /// Ends every connection and waits for the tasks; one that hangs is cut off after a second.
    pub(crate) async fn close(&self) {
        let (mut set, connections) = {
            let mut inner = self.0.lock();
            inner.closed = true;
            (
                std::mem::take(&mut inner.set),
                std::mem::take(&mut inner.connections),
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

impl Drop for Inner {
    fn drop(&mut self) {
        // Connections end by their own handles; the set alone must not cut them off.
        self.set.detach_all();
    }
}

pub(crate) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the cluster handle was closed")
}
