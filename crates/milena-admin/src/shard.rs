//! Verbs over items that live on several brokers: split, asked side by side, merged, and asked again where that is safe.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use milena_core::{Error, ErrorCode, ErrorKind, NodeId, Persistence, Result};
use milena_pool::{Cluster, Target};
use milena_protocol::Request;
use tokio::time::{Instant, sleep, timeout_at};

use crate::admin::Admin;
use crate::homes::Home;

/// One verb: where its items live, and how one broker is asked for some of them.
pub(crate) trait Shard: Sync {
    /// What is asked for.
    type Item: Clone + Send + Sync;
    /// What is answered for each.
    type Value: Send;
    /// Whether an item may be asked for again although the first request may have been carried out.
    const REPEATABLE: bool;

    /// Where `item` lives.
    fn home(&self, item: &Self::Item) -> Home;

    /// Asks one broker; gives a result per item, in their order.
    fn ask(
        &self,
        at: Asked<'_>,
        items: Vec<Self::Item>,
    ) -> impl Future<Output = Result<Vec<Result<Self::Value>>>> + Send;
}

/// The broker that is asked, and how long that may take.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) node: NodeId,
    pub(crate) limit: Duration,
    cluster: &'a Cluster,
}

impl Asked<'_> {
    pub(crate) async fn send<R: Request>(&self, request: &R) -> Result<R::Response> {
        let target = Target::Node(self.node);
        self.cluster.send_within(&target, request, self.limit).await
    }

    /// As [`send`](Self::send), for a request whose form depends on the version.
    pub(crate) async fn send_built<R: Request>(
        &self,
        build: impl Fn(i16) -> Result<R> + Send + Sync,
    ) -> Result<R::Response> {
        let target = Target::Node(self.node);
        self.cluster.send_built(&target, self.limit, build).await
    }
}

impl Admin {
    /// A result for each of `items`, in their order, within the administrator's timeout.
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

    /// Asks each broker once for those of the open items that live there.
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
            let at = Asked {
                node,
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

/// Whether what failed is asked for again.
fn goes_again(error: &Error, repeatable: bool, attempt: u32) -> bool {
    match error.code() {
        // Brokers learn of a new topic one after the other; one that stays unknown shall be said soon.
        Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => attempt < UNKNOWN_TRIES,
        Some(ErrorCode::REQUEST_TIMED_OUT | ErrorCode::NETWORK_EXCEPTION) => repeatable,
        Some(code) => code.is_retriable(),
        None if error.persistence() == Some(Persistence::NotWritten) => {
            error.is_retriable() || error.kind() == ErrorKind::State
        }
        None => repeatable && error.is_retriable(),
    }
}

pub(crate) fn late() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "no answer came within the administrator's timeout",
    )
}

const UNKNOWN_TRIES: u32 = 2;
