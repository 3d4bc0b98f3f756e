//! DeleteGroups.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorCode, NodeId, Result};
use milena_pool::Target;
use milena_protocol::messages::DeleteGroupsRequest;

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{check, unanswered, wire_group};
use crate::shard::{Home, Shard};

impl Admin {
    /// Deletes groups with their committed offsets. Each succeeds or fails alone.
    ///
    /// # Errors
    /// Of an item: [`State`](milena_core::ErrorKind::State) naming the members while there are any, `GROUP_ID_NOT_FOUND`,
    /// `GROUP_AUTHORIZATION_FAILED` and their like; a timeout.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, the groups may or may not be deleted.
    ///
    /// # References
    /// DeleteGroups, api key 42, versions 0 to 2 (KIP-229).
    pub async fn delete_groups<G: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = G>,
    ) -> PerItem<String, ()> {
        let groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        let items: Vec<Arc<str>> = groups.iter().map(|group| Arc::from(&**group)).collect();
        let results = self.sharded(&DeleteGroups, &items).await;
        let mut named = Vec::new();
        for (group, result) in groups.into_iter().zip(results) {
            let result = match result {
                Err(error) if error.code() == Some(ErrorCode::NON_EMPTY_GROUP) => {
                    // They may have left meanwhile: then the broker's word is all there is.
                    self.check_idle(&group).await.and(Err(error))
                }
                result => result,
            };
            let result = result.map_err(|error| error.group(group.as_str()));
            named.push((group, result));
        }
        PerItem::new(named)
    }
}

struct DeleteGroups;

impl Shard for DeleteGroups {
    type Item = Arc<str>;
    type Value = ();
    // A second request would answer that there is no such group, which is no failure of the first.
    const REPEATABLE: bool = false;

    fn home(&self, group: &Self::Item) -> Home {
        Home::Coordinator(Arc::clone(group))
    }

    async fn ask(
        &self,
        admin: &Admin,
        node: NodeId,
        groups: Vec<Self::Item>,
        limit: Duration,
    ) -> Result<Vec<Result<()>>> {
        let names = groups.iter().map(|group| wire_group(group)).collect();
        let request = DeleteGroupsRequest::default().with_groups_names(names);
        let answer = admin
            .cluster
            .send_within(&Target::Node(node), &request, limit)
            .await?;
        let result = |group: &Arc<str>| {
            let mut told = answer.results.iter();
            let told = told.find(|told| *told.group_id.0 == **group);
            let told = told.ok_or_else(|| unanswered("DeleteGroups"))?;
            check(told.error_code, None, "DeleteGroups")
        };
        Ok(groups.iter().map(result).collect())
    }
}
