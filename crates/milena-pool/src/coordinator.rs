//! The coordinators of groups and transactions that were found so far.

use std::collections::HashMap;
use std::sync::Arc;

use milena_core::{Error, NodeId};
use milena_protocol::Request;
use milena_protocol::messages::FindCoordinatorRequest;
use parking_lot::Mutex;

/// The key under which a coordinator is looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CoordinatorKey {
    /// A consumer group, by its id.
    Group(Arc<str>),
    /// A transactional producer, by its transactional id.
    Transaction(Arc<str>),
}

impl CoordinatorKey {
    /// Returns the key of a group's coordinator.
    pub fn group(id: impl Into<Arc<str>>) -> Self {
        Self::Group(id.into())
    }

    /// Returns the key of a transactional id's coordinator.
    pub fn transaction(id: impl Into<Arc<str>>) -> Self {
        Self::Transaction(id.into())
    }

    /// Returns the group or the transactional id.
    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Group(id) | Self::Transaction(id) => id,
        }
    }

    /// Returns the number that FindCoordinator has for this kind of key.
    pub(crate) fn wire_type(&self) -> i8 {
        match self {
            Self::Group(_) => 0,
            Self::Transaction(_) => 1,
        }
    }

    /// Adds the request and the group to an error.
    pub(crate) fn place(&self, error: Error) -> Error {
        let error = error.api(FindCoordinatorRequest::NAME);
        match self {
            Self::Group(id) => error.group(id.clone()),
            Self::Transaction(_) => error,
        }
    }
}

/// The coordinators found so far.
#[derive(Default)]
pub(crate) struct Coordinators(Mutex<HashMap<CoordinatorKey, NodeId>>);

impl Coordinators {
    /// Returns the coordinator of `key`. `None` if it was not found yet.
    pub(crate) fn get(&self, key: &CoordinatorKey) -> Option<NodeId> {
        self.0.lock().get(key).copied()
    }

    /// Stores a coordinator that a broker named.
    pub(crate) fn insert(&self, key: CoordinatorKey, node: NodeId) {
        self.0.lock().insert(key, node);
    }

    /// Removes the coordinator of `key`, so that the next use looks it up.
    pub(crate) fn forget(&self, key: &CoordinatorKey) {
        self.0.lock().remove(key);
    }
}
