//! Verbs over groups, each asked of its coordinator: one request for all groups of a broker, one result for each.

use std::future::Future;
use std::sync::Arc;

use milena_core::Result;
use milena_protocol::messages::GroupId;

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::unanswered;
use crate::homes::Home;
use crate::shard::{Asked, Shard};

/// One verb over groups: how a coordinator is asked for some of them.
pub(crate) trait GroupVerb: Sync {
    /// What is answered for each.
    type Value: Send;
    /// As [`Shard::REPEATABLE`].
    const REPEATABLE: bool;

    /// Asks one broker; gives a result per group, in their order.
    fn ask(
        &self,
        at: Asked<'_>,
        groups: &[Arc<str>],
    ) -> impl Future<Output = Result<Vec<Result<Self::Value>>>> + Send;
}

impl Admin {
    /// A result for each of `groups`, in their order; errors name their group.
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

/// What an answer says of each group, whatever its order there.
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
