//! Coordinators of groups and transactions. They are looked up, cached, and forgotten when they
//! moved.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Address, Error, ErrorCode, ErrorKind, NodeId, Result};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use milena_protocol::{ApiKey, Request, VersionRange};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::merge;

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

    fn id(&self) -> &str {
        match self {
            Self::Group(id) | Self::Transaction(id) => id,
        }
    }

    fn wire_type(&self) -> i8 {
        match self {
            Self::Group(_) => 0,
            Self::Transaction(_) => 1,
        }
    }

    fn place(&self, error: Error) -> Error {
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

impl Cluster {
    /// Returns the coordinator of `key`, from the cache or by asking any broker.
    ///
    /// Tries again while the coordinator is loading or not available, at most the API timeout.
    ///
    /// # Errors
    /// The broker's error code if waiting does not help, such as GROUP_AUTHORIZATION_FAILED.
    /// Otherwise the last failure, once the time is up.
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing is cached.
    ///
    /// # References
    /// FindCoordinator (key 10), versions 1 to 6.
    pub async fn coordinator(&self, key: &CoordinatorKey) -> Result<NodeId> {
        self.coordinator_by(key, Instant::now() + self.api_timeout())
            .await
    }

    /// Like [`coordinator`](Self::coordinator), until `deadline`.
    pub(crate) async fn coordinator_by(
        &self,
        key: &CoordinatorKey,
        deadline: Instant,
    ) -> Result<NodeId> {
        let known = self.0.coordinators.0.lock().get(key).copied();
        if let Some(node) = known.filter(|node| self.metadata().broker(*node).is_some()) {
            return Ok(node);
        }
        let mut attempt = 0;
        let mut last = None;
        let mut silent = Vec::new();
        loop {
            match timeout_at(deadline, self.look_up(key, attempt, &mut silent)).await {
                Ok(Ok(node)) => return Ok(node),
                Ok(Err(error)) if error.is_retriable() => last = Some(error),
                Ok(Err(error)) => return Err(key.place(error)),
                Err(_) => {}
            }
            let wait = self.0.timing.retry.delay(attempt);
            attempt += 1;
            if Instant::now() + wait >= deadline {
                return Err(key.place(last.unwrap_or_else(|| {
                    Error::new(ErrorKind::Timeout, "the coordinator was not found in time")
                })));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Removes the coordinator of `key` from the cache, so that the next use looks it up. Call it
    /// after a broker answered NOT_COORDINATOR or could not be reached.
    pub fn forget_coordinator(&self, key: &CoordinatorKey) {
        self.0.coordinators.0.lock().remove(key);
    }

    /// Asks one broker. Adds it to `silent` if it does not answer. Those brokers are asked last.
    async fn look_up(
        &self,
        key: &CoordinatorKey,
        attempt: u32,
        silent: &mut Vec<NodeId>,
    ) -> Result<NodeId> {
        let (asked, connection) = self.any_connection_but(silent).await?;
        // The first limit is short. Heartbeats wait for this answer, and other brokers know it,
        // too.
        let patience = connection.request_timeout();
        let limit = (patience / 6).saturating_mul(2_u32.saturating_pow(attempt));
        let answer = ask(&connection, key, limit.min(patience)).await;
        let (node, address) = answer.inspect_err(|error| {
            if error.code().is_none() {
                silent.push(asked);
            }
        })?;
        self.0
            .change(|old| merge::with_broker(old, node, address.clone()));
        self.0.coordinators.0.lock().insert(key.clone(), node);
        Ok(node)
    }
}

/// Sends FindCoordinator to one broker and reads its answer.
async fn ask(
    connection: &Connection,
    key: &CoordinatorKey,
    limit: Duration,
) -> Result<(NodeId, Address)> {
    let api = ApiKey::FindCoordinator;
    // Version 0 can only look up groups. The range that milena supports begins at 1.
    let ours: VersionRange = api.supported();
    let version = connection.versions().negotiate_within(api, ours)?;
    let id = StrBytes::from_string(key.id().to_owned());
    let request = FindCoordinatorRequest::default().with_key_type(key.wire_type());
    let request = if version >= BATCHED_FROM {
        request.with_coordinator_keys(vec![id])
    } else {
        request.with_key(id)
    };
    let answer = connection.call_version(&request, version, limit).await?;
    read(&answer, key, version)
}

/// Reads the coordinator from an answer. Versions from 4 on carry a list (KIP-699).
fn read(
    answer: &FindCoordinatorResponse,
    key: &CoordinatorKey,
    version: i16,
) -> Result<(NodeId, Address)> {
    let (code, node, host, port) = if version >= BATCHED_FROM {
        let found = answer
            .coordinators
            .iter()
            .find(|c| c.key.as_str() == key.id());
        let found = found.ok_or_else(|| {
            Error::new(
                ErrorKind::Decode,
                "the answer does not name the coordinator that was asked for",
            )
        })?;
        (found.error_code, found.node_id, &found.host, found.port)
    } else {
        (answer.error_code, answer.node_id, &answer.host, answer.port)
    };
    if let Some(code) = ErrorCode::from_wire(code) {
        return Err(Error::broker(code));
    }
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    match (NodeId::from_wire(node.0), port) {
        (Some(node), Some(port)) if !host.is_empty() => {
            Ok((node, Address::new(host.as_str(), port)))
        }
        // Some brokers answer without a coordinator and without an error while there is none yet.
        _ => Err(Error::broker(ErrorCode::COORDINATOR_NOT_AVAILABLE)),
    }
}

const BATCHED_FROM: i16 = 4;
