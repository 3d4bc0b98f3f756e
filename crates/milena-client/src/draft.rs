//! The settings of a client itself, without those for its producers and consumers.

use std::sync::Arc;

use milena_core::Address;
use milena_pool::{Cluster, ClusterBuilder};

use crate::bootstrap::Bootstrap;

/// The settings of a client that is not connected. Its builder changes them, and so do files, the
/// environment and properties.
pub(crate) struct ClusterDraft {
    /// The addresses as the user wrote them. An entry may hold several with commas between.
    pub(crate) bootstrap: Vec<String>,
    /// The settings of the cluster. The addresses are added when the client connects, because a
    /// later call may still replace them.
    pub(crate) cluster: ClusterBuilder,
    /// The group for [`Client::group`](crate::Client::group). `None` if no setting names one.
    pub(crate) group: Option<Arc<str>>,
}

impl ClusterDraft {
    pub(crate) fn new() -> Self {
        Self {
            bootstrap: Vec::new(),
            cluster: Cluster::builder(Vec::<String>::new()),
            group: None,
        }
    }

    /// Replaces the addresses. A text without an address in it changes nothing.
    pub(crate) fn bootstrap(mut self, servers: impl Bootstrap) -> Self {
        let given = written(servers);
        if !given.is_empty() {
            self.bootstrap = given;
        }
        self
    }

    /// Adds addresses.
    pub(crate) fn add_bootstrap(mut self, servers: impl Bootstrap) -> Self {
        self.bootstrap.extend(written(servers));
        self
    }

    /// Sets the group.
    pub(crate) fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Changes the settings of the cluster.
    pub(crate) fn with(mut self, set: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Self {
        self.cluster = set(self.cluster);
        self
    }

    /// Returns the addresses without the names and passwords in them.
    pub(crate) fn shown_bootstrap(&self) -> Vec<String> {
        self.bootstrap
            .iter()
            .map(|text| Address::redacted(text))
            .collect()
    }
}

/// Returns the entries that contain an address. They are split into addresses when the client
/// connects.
fn written(servers: impl Bootstrap) -> Vec<String> {
    let mut entries = servers.servers();
    entries.retain(|entry| entry.contains(|c: char| c != ',' && !c.is_whitespace()));
    entries
}
