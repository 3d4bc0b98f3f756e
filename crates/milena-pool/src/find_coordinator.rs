//! The search for the coordinator of a group or of a transactional id.

use std::time::Duration;

use milena_core::{Address, Error, ErrorCode, ErrorKind, NodeId, Result};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use milena_protocol::{ApiKey, VersionRange};
use tokio::time::{Instant, timeout_at};

use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::coordinator::CoordinatorKey;
use crate::merge;

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
        let known = self.core().coordinators.get(key);
        if let Some(node) = known.filter(|node| self.metadata().broker(*node).is_some()) {
            return Ok(node);
        }
        let mut search = Search {
            cluster: self,
            key,
            attempt: 0,
            silent: Vec::new(),
        };
        let mut last = None;
        loop {
            match timeout_at(deadline, search.ask_one()).await {
                Ok(Ok(node)) => return Ok(node),
                Ok(Err(error)) if error.is_retriable() => last = Some(error),
                Ok(Err(error)) => return Err(key.place(error)),
                Err(_) => {}
            }
            let wait = self.backoff().delay(search.attempt);
            search.attempt += 1;
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
        self.core().coordinators.forget(key);
    }
}

/// A search for one coordinator, over several attempts.
struct Search<'a> {
    /// The cluster whose brokers are asked.
    cluster: &'a Cluster,
    /// The key of the coordinator.
    key: &'a CoordinatorKey,
    /// Number of attempts that have ended.
    attempt: u32,
    /// The brokers that did not answer. They are asked last.
    silent: Vec<NodeId>,
}

impl Search<'_> {
    /// Asks one broker, and stores the coordinator that it names.
    async fn ask_one(&mut self) -> Result<NodeId> {
        let (asked, connection) = self.cluster.any_connection_but(&self.silent).await?;
        // The first limit is short. Heartbeats wait for this answer, and other brokers know it,
        // too.
        let patience = connection.request_timeout();
        let limit = (patience / 6).saturating_mul(2_u32.saturating_pow(self.attempt));
        let answer = ask(&connection, self.key, limit.min(patience)).await;
        let (node, address) = answer.inspect_err(|error| {
            if error.code().is_none() {
                self.silent.push(asked);
            }
        })?;
        let core = self.cluster.core();
        core.change(|old| merge::with_broker(old, node, address.clone()));
        core.coordinators.insert(self.key.clone(), node);
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
