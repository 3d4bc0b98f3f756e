//! Verbs over groups. Each coordinator gets one request for all its groups, and each group has its
//! result.

use std::future::Future;
use std::sync::Arc;

use milena_core::Result;
use milena_protocol::messages::GroupId;

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::unanswered;
use crate::homes::Home;
use crate::shard::{Asked, Shard};

/// A verb over groups: the request to one coordinator.
pub(crate) trait GroupVerb: Sync {
    /// The type of a group's result.
    type Value: Send;
    /// True if a group may be sent again although the first request may have been executed.
    const REPEATABLE: bool;

    /// Sends the request for `groups` to one broker. Returns one result per group, in their order.
    fn ask(
        &self,
        at: Asked<'_>,
        groups: &[Arc<str>],
    ) -> impl Future<Output = Result<Vec<Result<Self::Value>>>> + Send;
}

impl Admin {
    /// Returns one result per group, in their order. Errors name their group.
    pub(crate) async fn each_group<V: GroupVerb, G: Into<String>>(
        &self,
        verb: V,
        groups: impl IntoIterator<Item = G>,
    ) -> PerItem<String, V::Value> {
        let groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        let items: Vec<Arc<str>> = groups.iter().map(|group| Arc::from(&**group)).collect();
        let results = self.sharded(&AtCoordinators(verb), &items).await;
        PerItem::zip(groups, results, |group, error| error.group(group.as_str()))
    }
}

/// Runs a verb at the coordinator of each group.
struct AtCoordinators<V>(V);

impl<V: GroupVerb> Shard for AtCoordinators<V> {
    type Item = Arc<str>;
    type Value = V::Value;
    const REPEATABLE: bool = V::REPEATABLE;

    fn home(&self, group: &Self::Item) -> Home {
        Home::Coordinator(Arc::clone(group))
    }

    async fn ask(&self, at: Asked<'_>, groups: Vec<Self::Item>) -> Result<Vec<Result<V::Value>>> {
        self.0.ask(at, &groups).await
    }
}

/// Returns the result of each group in the order of `groups`. The answer may have another order.
pub(crate) fn each_told<A, T>(
    groups: &[Arc<str>],
    told: &[A],
    id: impl Fn(&A) -> &GroupId,
    api: &'static str,
    read: impl Fn(&A) -> Result<T>,
) -> Vec<Result<T>> {
    let of = |group: &Arc<str>| {
        let found = told.iter().find(|told| *id(told).0 == **group);
        read(found.ok_or_else(|| unanswered(api))?)
    };
    groups.iter().map(of).collect()
}
