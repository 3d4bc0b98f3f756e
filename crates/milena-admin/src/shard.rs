//! Verbs over items that live on several brokers: split, asked side by side, merged, and asked again where that is safe.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use milena_core::{
    Error, ErrorCode, ErrorKind, NodeId, Partition, Persistence, Result, TopicName, TopicPartition,
};
use milena_pool::CoordinatorKey;
use tokio::time::{Instant, sleep, timeout_at};

use crate::admin::Admin;

/// The broker that an item lives on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Home {
    /// The leader of this partition.
    Leader(TopicPartition),
    /// The coordinator of this group.
    Coordinator(Arc<str>),
}

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

    /// Asks `node`, within `limit`; gives a result per item, in their order.
    fn ask(
        &self,
        admin: &Admin,
        node: NodeId,
        items: Vec<Self::Item>,
        limit: Duration,
    ) -> impl Future<Output = Result<Vec<Result<Self::Value>>>> + Send;
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
            let asking = Box::pin(shard.ask(self, node, items, limit));
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

    /// The broker of each home.
    async fn find(&self, homes: &[Home]) -> Vec<Result<NodeId>> {
        let leaders = self.leaders(homes).await;
        let mut coordinators: HashMap<&Arc<str>, Result<NodeId>> = HashMap::new();
        let mut groups: Vec<&Arc<str>> = homes
            .iter()
            .filter_map(|home| match home {
                Home::Coordinator(group) => Some(group),
                Home::Leader(_) => None,
            })
            .collect();
        groups.sort();
        groups.dedup();
        for some in groups.chunks(LOOKUPS_AT_ONCE) {
            let found = some.iter().map(|group| async move {
                let key = CoordinatorKey::group(Arc::clone(group));
                (*group, self.cluster.coordinator(&key).await)
            });
            coordinators.extend(join_all(found).await);
        }
        homes
            .iter()
            .map(|home| match home {
                Home::Coordinator(group) => coordinators
                    .get(group)
                    .cloned()
                    .unwrap_or_else(|| Err(late())),
                Home::Leader(place) => match &leaders {
                    Ok(leaders) => leaders
                        .get(&place.topic)
                        .map_or_else(|| Err(unknown(place)), |topic| topic.leader(place)),
                    Err(error) => Err(error.clone()),
                },
            })
            .collect()
    }

    /// The leaders of all partitions of the topics in `homes`.
    async fn leaders(&self, homes: &[Home]) -> Result<HashMap<TopicName, Leaders>> {
        let mut topics: Vec<TopicName> = homes
            .iter()
            .filter_map(|home| match home {
                Home::Leader(place) if place.topic.defect().is_none() => Some(place.topic.clone()),
                _ => None,
            })
            .collect();
        topics.sort();
        topics.dedup();
        if topics.is_empty() {
            return Ok(HashMap::new());
        }
        let answer = self.metadata(Some(&topics)).await?;
        let told = answer.topics.into_iter().filter_map(|topic| {
            let name = TopicName::from(topic.name.as_ref()?.0.as_str());
            let partitions = topic.partitions.iter().filter_map(|each| {
                let partition = Partition::from_wire(each.partition_index)?;
                Some((partition, NodeId::from_wire(each.leader_id.0)))
            });
            let leaders = Leaders {
                error: ErrorCode::from_wire(topic.error_code),
                partitions: partitions.collect(),
            };
            Some((name, leaders))
        });
        Ok(told.collect())
    }

    /// Looks anew, next time, where these homes are.
    fn forget(&self, homes: impl Iterator<Item = Home>) {
        for home in homes {
            if let Home::Coordinator(group) = home {
                let key = CoordinatorKey::group(group);
                self.cluster.forget_coordinator(&key);
            }
        }
        self.cluster.request_refresh();
    }
}

/// Where the partitions of a topic are led.
struct Leaders {
    error: Option<ErrorCode>,
    partitions: HashMap<Partition, Option<NodeId>>,
}

impl Leaders {
    fn leader(&self, place: &TopicPartition) -> Result<NodeId> {
        if let Some(code) = self.error {
            return Err(Error::broker(code).topic(&place.topic));
        }
        match self.partitions.get(&place.partition) {
            Some(Some(node)) => Ok(*node),
            Some(None) => Err(Error::broker(ErrorCode::LEADER_NOT_AVAILABLE).at(place)),
            None => Err(unknown(place)),
        }
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

fn unknown(place: &TopicPartition) -> Error {
    Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION).at(place)
}

fn late() -> Error {
    Error::new(
        ErrorKind::Timeout,
        "no answer came within the administrator's timeout",
    )
}

const UNKNOWN_TRIES: u32 = 2;
const LOOKUPS_AT_ONCE: usize = 16;
