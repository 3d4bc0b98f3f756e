//! The way to the coordinator of a consumer's group.

use std::sync::Arc;

use milena_core::{Backoff, Result};
use milena_pool::{Cluster, Connection, CoordinatorKey, OwnConnections, Role};

/// The coordinator of a consumer's group. It is looked up at its first use and remembered until it
/// is forgotten.
pub(crate) struct Coordinator {
    /// The cluster. It finds the coordinator and remembers its address for all its users.
    cluster: Cluster,
    /// Connections that only this consumer uses. The fetcher shares them, with roles of its own.
    connections: Arc<OwnConnections>,
    /// The name of the group. `None` for a consumer without a group, which never asks.
    group: Option<Arc<str>>,
}

impl Coordinator {
    /// Returns the coordinator of `group`. It is not looked up yet.
    pub(crate) fn new(
        cluster: Cluster,
        connections: Arc<OwnConnections>,
        group: Option<Arc<str>>,
    ) -> Self {
        Self {
            cluster,
            connections,
            group,
        }
    }

    /// Returns a connection to the coordinator. Forgets the coordinator's address if the broker
    /// cannot be reached, so that it is looked up again.
    ///
    /// # Errors
    /// The reason why there is no coordinator or no connection to it.
    pub(crate) async fn connection(&self, role: Role) -> Result<Connection> {
        let key = self.key();
        let node = self.cluster.coordinator(&key).await?;
        match self.connections.connection(node, role).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                self.cluster.forget_coordinator(&key);
                Err(error)
            }
        }
    }

    /// Forgets the coordinator, so that it is looked up again.
    pub(crate) fn forget(&self) {
        self.cluster.forget_coordinator(&self.key());
    }

    /// Returns the backoff between attempts to ask it.
    pub(crate) fn backoff(&self) -> Backoff {
        self.cluster.backoff()
    }

    /// Returns the group's name. Empty without a group.
    pub(crate) fn group_name(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    /// Returns the key by which the cluster finds the coordinator.
    fn key(&self) -> CoordinatorKey {
        CoordinatorKey::group(self.group_name())
    }
}
