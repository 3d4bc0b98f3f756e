//! Verbs over items on several brokers. The items are split by broker, sent concurrently, merged,
//! and sent again if that is safe.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use milena_core::{Error, ErrorCode, ErrorKind, NodeId, Persistence, Result, TopicPartition};
use milena_pool::{Cluster, Target};
use milena_protocol::Request;
use tokio::time::{Instant, sleep, timeout_at};

use crate::admin::Admin;
use crate::homes::Home;

/// A verb: the broker of each item, and the request to one broker.
pub(crate) trait Shard: Sync {
    /// The type of an item.
    type Item: Clone + Send + Sync;
    /// The type of an item's result.
    type Value: Send;
    /// True if an item may be sent again although the first request may have been executed.
    const REPEATABLE: bool;

    /// Returns the broker that handles `item`.
    fn home(&self, item: &Self::Item) -> Home;

    /// Sends the request for `items` to one broker. Returns one result per item, in their order.
    fn ask(
        &self,
        at: Asked<'_>,
        items: Vec<Self::Item>,
    ) -> impl Future<Output = Result<Vec<Result<Self::Value>>>> + Send;
}

/// The broker to ask, and its time limit.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The broker.
    pub(crate) node: NodeId,
    /// The broker as a target, with the partitions that it must lead.
    target: &'a Target,
    /// The longest time for the request.
    pub(crate) limit: Duration,
    /// The cluster, to send the request.
    cluster: &'a Cluster,
}

impl Asked<'_> {
    /// Sends a request to the broker.
    pub(crate) async fn send<R: Request>(&self, request: &R) -> Result<R::Response> {
        let sending = self.cluster.send_within(self.target, request, self.limit);
        sending.await
    }

    /// Like [`send`](Self::send), for a request whose content depends on its version.
    pub(crate) async fn send_built<R: Request>(
        &self,
        build: impl Fn(i16) -> Result<R> + Send + Sync,
    ) -> Result<R::Response> {
        let sending = self.cluster.send_built(self.target, self.limit, build);
        sending.await
    }
}

impl Admin {
    /// Returns one result per item, in their order, within the timeout of the admin client.
    pub(crate) async fn sharded<S: Shard>(
        &self,
        shard: &S,
        items: &[S::Item],
    ) -> Vec<Result<S::Value>> {
        let deadline = Instant::now() + self.timeout;
        let mut results: Vec<Result<S::Value>> = items.iter().map(|_| Err(late())).collect();
        let mut open: Vec<usize> = (0..items.len()).collect();
        let mut attempt = 0;
        while !open.is_empty() {
            for (at, result) in self.round(shard, items, &open, deadline).await {
                if let Some(place) = results.get_mut(at) {
                    *place = result;
                }
            }
            open.retain(|at| match results.get(*at) {
                Some(Err(error)) => goes_again(error, S::REPEATABLE, attempt),
                _ => false,
            });
            let wait = self.cluster.backoff().delay(attempt);
            if open.is_empty() || Instant::now() + wait >= deadline || self.cluster.is_closed() {
                break;
            }
            attempt += 1;
            sleep(wait).await;
            let homes = open.iter().filter_map(|at| items.get(*at));
            self.forget(homes.map(|item| shard.home(item)));
        }
        results
    }

    /// Sends the open items to their brokers, with one request per broker.
    async fn round<S: Shard>(
        &self,
        shard: &S,
        items: &[S::Item],
        open: &[usize],
        deadline: Instant,
    ) -> Vec<(usize, Result<S::Value>)> {
        let open: Vec<(usize, &S::Item)> = open
            .iter()
            .filter_map(|at| Some((*at, items.get(*at)?)))
            .collect();
        let homes: Vec<Home> = open.iter().map(|(_, item)| shard.home(item)).collect();
        let found = match timeout_at(deadline, self.find(&homes)).await {
            Ok(found) => found,
            Err(_) => homes.iter().map(|_| Err(late())).collect(),
        };
        let mut results = Vec::new();
        let mut by_node: BTreeMap<NodeId, Vec<(usize, S::Item)>> = BTreeMap::new();
        for ((at, item), node) in open.into_iter().zip(found) {
            match node {
                Ok(node) => by_node.entry(node).or_default().push((at, item.clone())),
                Err(error) => results.push((at, Err(error))),
            }
        }
        let asked = by_node.into_iter().map(|(node, asked)| async move {
            let (places, items): (Vec<usize>, Vec<S::Item>) = asked.into_iter().unzip();
            let limit = deadline.saturating_duration_since(Instant::now());
            let target = target(node, items.iter().map(|item| shard.home(item)));
            let at = Asked {
                node,
                target: &target,
                limit,
                cluster: &self.cluster,
            };
            let asking = Box::pin(shard.ask(at, items));
            let answered = match timeout_at(deadline, asking).await {
                Ok(answered) => answered,
                Err(_) => Err(late().node(node)),
            };
            match answered {
                Ok(results) => places.into_iter().zip(results).collect::<Vec<_>>(),
                Err(error) => {
                    let each = places.into_iter();
                    each.map(|at| (at, Err(error.clone()))).collect()
                }
            }
        });
        results.extend(join_all(asked).await.into_iter().flatten());
        results
    }
}

/// Returns the target for a request to `node` about all of `homes`.
///
/// If the homes are partitions, the request ends once another broker is known to lead one of them.
/// A leader that is away is then not waited for until the timeout.
fn target(node: NodeId, homes: impl Iterator<Item = Home>) -> Target {
    let led = homes.filter_map(|home| match home {
        Home::Leader(place) => Some(place),
        Home::Coordinator(_) => None,
    });
    let led: Arc<[TopicPartition]> = led.collect();
    if led.is_empty() {
        return Target::Node(node);
    }
    Target::Leading(node, led)
}

/// Returns true if an item with this error is sent again.
fn goes_again(error: &Error, repeatable: bool, attempt: u32) -> bool {
    match error.code() {
        // Brokers learn of a new topic one after the other, so try a few times. A topic that stays
        // unknown is reported soon.
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => attempt < UNKNOWN_TRIES,
        Some(ErrorCode::REQUEST_TIMED_OUT | ErrorCode::NETWORK_EXCEPTION) => repeatable,
        Some(code) => code.is_retriable(),
        None if error.persistence() == Some(Persistence::NotWritten) => {
            error.is_retriable() || error.kind() == ErrorKind::State
        }
        None => repeatable && error.is_retriable(),
    }
}

/// Creates the error for an item without an answer in time.
pub(crate) fn late() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "no answer came within the admin client's timeout",
    )
}

/// The most retries for a topic that brokers do not know.
const UNKNOWN_TRIES: u32 = 2;
