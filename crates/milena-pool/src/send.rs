//! Short requests, sent over the pools to the broker that must answer them.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Object;
use milena_core::{Error, ErrorCode, ErrorKind, NodeId, Persistence, Result, TopicPartition};
use milena_protocol::Request;
use tokio::time::{Instant, timeout_at};

use crate::broker::Short;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::coordinator::CoordinatorKey;

/// The broker that must answer a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Any broker. The one that can be asked soonest is used.
    Any,
    /// The broker with this number.
    Node(NodeId),
    /// This broker, until the metadata shows that it no longer leads one of these partitions. The
    /// request fails with NOT_LEADER_OR_FOLLOWER then, so that the caller can look up the leaders
    /// again. Topics that the metadata does not contain are ignored.
    Leading(NodeId, Arc<[TopicPartition]>),
    /// The controller, or the broker that stands in for it.
    Controller,
    /// The leader of a partition.
    Leader(TopicPartition),
    /// The coordinator of a group.
    Group(Arc<str>),
    /// The coordinator of a transactional id.
    Transaction(Arc<str>),
}

/// A request, or a function that builds it for the negotiated version.
enum Form<'a, R> {
    Given(&'a R),
    Built(&'a (dyn Fn(i16) -> Result<R> + Send + Sync)),
}

impl<R: Request> Form<'_, R> {
    async fn ask(&self, connection: &Connection, limit: Duration) -> Result<R::Response> {
        match self {
            Self::Given(request) => connection.call_with(*request, limit).await,
            Self::Built(build) => {
                let version = connection.versions().negotiate(R::KEY)?;
                connection
                    .call_version(&build(version)?, version, limit)
                    .await
            }
        }
    }
}

impl Target {
    /// Returns the target for a group's coordinator.
    pub fn group(id: impl Into<Arc<str>>) -> Self {
        Self::Group(id.into())
    }
}

impl Cluster {
    /// Sends `request` to `target` over its pool and waits for the answer.
    ///
    /// Tries again, with a backoff, to find the target, to get a connection and to dial, all within
    /// the API timeout. The answer may then take the request timeout. A request that was written is
    /// never sent twice. The caller decides what to do if its answer does not come.
    ///
    /// Error codes inside the answer are not errors of this call. The caller reads them. After
    /// NOT_COORDINATOR, call [`forget_coordinator`](Self::forget_coordinator).
    ///
    /// # Errors
    /// The errors of [`Connection::call`](crate::Connection::call), and LEADER_NOT_AVAILABLE with
    /// the partition if it has no leader in time.
    ///
    /// # Cancel safety
    /// If the future is dropped after the request was written, the broker still executes it, and
    /// its answer is discarded.
    pub async fn send<R: Request>(&self, target: &Target, request: &R) -> Result<R::Response> {
        self.send_within(target, request, self.request_timeout())
            .await
    }

    /// Like [`send`](Self::send), but the answer may take `limit`.
    ///
    /// # Errors
    /// The errors of [`send`](Self::send).
    pub async fn send_within<R: Request>(
        &self,
        target: &Target,
        request: &R,
        limit: Duration,
    ) -> Result<R::Response> {
        self.ask(target, Form::Given(request), limit).await
    }

    /// Like [`send_within`](Self::send_within), for a request whose content depends on its version.
    ///
    /// `build` is called with the negotiated version, once for each broker that is tried.
    ///
    /// # Errors
    /// The errors of [`send`](Self::send), and the error of `build`.
    pub async fn send_built<R: Request>(
        &self,
        target: &Target,
        limit: Duration,
        build: impl Fn(i16) -> Result<R> + Send + Sync,
    ) -> Result<R::Response> {
        self.ask(target, Form::Built(&build), limit).await
    }

    /// Finds a connection and sends the request. Repeats both while nothing was written.
    async fn ask<R: Request>(
        &self,
        target: &Target,
        form: Form<'_, R>,
        limit: Duration,
    ) -> Result<R::Response> {
        self.keep_up();
        let deadline = Instant::now() + self.api_timeout();
        let mut attempt = 0;
        loop {
            let error = match self.ready_connection(target, deadline).await {
                Ok(connection) => match form.ask(&connection, limit).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let wait = self.backoff().delay(attempt);
            // Repeat only what was certainly not written. `State` means that the broker is unknown
            // or that its connection has too many requests, and both may pass.
            let again = error.persistence() == Some(Persistence::NotWritten)
                && (error.is_retriable() || error.kind() == ErrorKind::State)
                && Instant::now() + wait < deadline
                && !self.is_closed()
                && !self.has_moved(target);
            if !again {
                return Err(error.api(R::NAME));
            }
            self.stale(target, &error);
            attempt += 1;
            tokio::time::sleep(wait).await;
        }
    }

    /// Returns true if the broker of [`Target::Leading`] no longer leads one of the partitions.
    /// Further attempts would only delay the caller, who must ask the new leader. Topics that the
    /// metadata does not contain are ignored.
    fn has_moved(&self, target: &Target) -> bool {
        let Target::Leading(node, places) = target else {
            return false;
        };
        let metadata = self.metadata();
        places.iter().any(|at| {
            let is_shown = metadata.topic(&at.topic).is_some();
            is_shown && metadata.leader(at) != Some(*node)
        })
    }

    /// Takes a connection to the target, until `deadline`. Its errors say that nothing was written.
    async fn ready_connection(&self, target: &Target, deadline: Instant) -> Result<Object<Short>> {
        match timeout_at(deadline, self.check_out(target, deadline)).await {
            // Requests that look up the target may have been written. The caller's own request was
            // not.
            Ok(found) => found.map_err(|error| error.with_persistence(Persistence::NotWritten)),
            Err(_) => {
                let what = "no connection to the broker became free or could be opened in time";
                Err(Error::new(ErrorKind::Timeout, what).with_persistence(Persistence::NotWritten))
            }
        }
    }

    /// Looks up the target and takes a connection to it.
    async fn check_out(&self, target: &Target, deadline: Instant) -> Result<Object<Short>> {
        let node = match target {
            Target::Any => return self.any_connection().await,
            Target::Node(node) => *node,
            Target::Leading(node, places) => {
                if self.has_moved(target)
                    && let Some(place) = places.first()
                {
                    let error = Error::broker(ErrorCode::NOT_LEADER_OR_FOLLOWER);
                    return Err(error.at(place).node(*node));
                }
                *node
            }
            Target::Controller => match self.metadata().controller() {
                Some(node) if self.metadata().broker(node).is_some() => node,
                _ => return self.any_connection().await,
            },
            Target::Leader(place) => self.metadata().leader(place).ok_or_else(|| {
                self.want_topics([place.topic.clone()]);
                Error::broker(ErrorCode::LEADER_NOT_AVAILABLE).at(place)
            })?,
            Target::Group(id) => {
                let key = CoordinatorKey::Group(id.clone());
                self.coordinator_by(&key, deadline).await?
            }
            Target::Transaction(id) => {
                let key = CoordinatorKey::Transaction(id.clone());
                self.coordinator_by(&key, deadline).await?
            }
        };
        self.core().broker(node)?.check_out().await
    }

    /// Makes the next attempt look up the target again, because of `error`.
    fn stale(&self, target: &Target, error: &Error) {
        match target {
            Target::Group(id) => self.forget_coordinator(&CoordinatorKey::Group(id.clone())),
            Target::Transaction(id) => {
                self.forget_coordinator(&CoordinatorKey::Transaction(id.clone()));
            }
            Target::Any => return,
            Target::Node(_) | Target::Leading(..) | Target::Controller | Target::Leader(_) => {}
        }
        if error.code().is_none_or(ErrorCode::is_stale_metadata) {
            self.request_refresh();
        }
    }
}
