//! The admin client, and how it sends requests to the controller or to any broker.

use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicName};
use milena_pool::{Cluster, Target};
use milena_protocol::Request;
use milena_protocol::messages::metadata_request::MetadataRequestTopic;
use milena_protocol::messages::{MetadataRequest, MetadataResponse};
use tokio::time::{Instant, sleep, timeout};

use crate::answers::wire_name;

/// An admin client of a cluster. Clones are cheap and share the connections.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The cluster to administer.
    pub(crate) cluster: Cluster,
    /// The longest time for one verb.
    pub(crate) timeout: Duration,
}

impl Admin {
    /// Creates an admin client of `cluster`. Each verb may take as long as the cluster's
    /// [`api_timeout`](Cluster::api_timeout) (`default.api.timeout.ms`).
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        let timeout = cluster.api_timeout();
        Self { cluster, timeout }
    }

    /// Sets the longest time for one verb, in whole milliseconds. By default it is the cluster's
    /// [`api_timeout`](Cluster::api_timeout), which is 60 s unless it is set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Asks any broker for metadata of these topics. `None` asks for all topics.
    pub(crate) async fn metadata(&self, topics: Option<&[TopicName]>) -> Result<MetadataResponse> {
        let named = |name| MetadataRequestTopic::default().with_name(Some(wire_name(name)));
        let topics = topics.map(|names| names.iter().map(named).collect());
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(false);
        self.ask(&Target::Any, |_| Ok(request.clone())).await
    }

    /// Sends a request to `target` within the timeout. Finding and reaching the target counts as
    /// well.
    pub(crate) async fn ask<R: Request>(
        &self,
        target: &Target,
        build: impl Fn(i16) -> Result<R> + Send + Sync,
    ) -> Result<R::Response> {
        self.ask_within(target, self.timeout, build).await
    }

    async fn ask_within<R: Request>(
        &self,
        target: &Target,
        limit: Duration,
        build: impl Fn(i16) -> Result<R> + Send + Sync,
    ) -> Result<R::Response> {
        let asking = Box::pin(self.cluster.send_built(target, limit, build));
        // The request has its own time limit and a more precise error, so give it a little more
        // time.
        match timeout(limit + GRACE, asking).await {
            Ok(answered) => answered,
            Err(_) => {
                let what = "no broker could be asked within the admin client's timeout";
                Err(Error::new(ErrorKind::Timeout, what).api(R::NAME))
            }
        }
    }

    /// Sends a request to the controller. If the controller has moved, sends it to the new one.
    /// That is safe, because a broker that is not the controller refuses without changing anything.
    pub(crate) async fn at_controller<R: Request>(
        &self,
        build: impl Fn(i16) -> Result<R> + Send + Sync,
        has_moved: impl Fn(&R::Response) -> bool,
    ) -> Result<R::Response> {
        let deadline = Instant::now() + self.timeout;
        let mut attempt = 0;
        loop {
            let limit = deadline.saturating_duration_since(Instant::now());
            let answer = self.ask_within(&Target::Controller, limit, &build).await?;
            let wait = self.cluster.backoff().delay(attempt);
            if !has_moved(&answer) || Instant::now() + wait >= deadline {
                return Ok(answer);
            }
            attempt += 1;
            sleep(wait).await;
            self.cluster.refresh().await?;
        }
    }

    /// Returns the timeout in the form that requests carry.
    pub(crate) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

/// Returns true if the code means that another broker is the controller now.
pub(crate) fn moved(code: i16) -> bool {
    ErrorCode::from_wire(code) == Some(ErrorCode::NOT_CONTROLLER)
}

/// The time by which a request may exceed its limit, so that its own timeout error comes first.
const GRACE: Duration = Duration::from_millis(500);
