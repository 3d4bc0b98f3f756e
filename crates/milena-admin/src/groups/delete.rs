//! Deletes groups (DeleteGroups).

use std::sync::Arc;

use milena_core::{ErrorCode, Result};
use milena_protocol::messages::DeleteGroupsRequest;
use milena_protocol::messages::delete_groups_response::DeletableGroupResult;

use super::each::{GroupVerb, each_told};
use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{check, wire_group};
use crate::shard::Asked;

impl Admin {
    /// Deletes groups with their committed offsets. Each group succeeds or fails separately.
    ///
    /// # Errors
    /// An item fails with [`State`](milena_core::ErrorKind::State) if the group has members. The
    /// text names them. It fails with `GROUP_ID_NOT_FOUND`, `GROUP_AUTHORIZATION_FAILED`, with a
    /// timeout and so on.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the groups may or may not be deleted.
    ///
    /// # References
    /// DeleteGroups, api key 42, versions 0 to 2 (KIP-229).
    pub async fn delete_groups<G: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = G>,
    ) -> PerItem<String, ()> {
        let mut named = Vec::new();
        for (group, result) in self.each_group(DeleteGroups, groups).await {
            let result = match result {
                Err(error) if error.code() == Some(ErrorCode::NON_EMPTY_GROUP) => {
                    // The members may have left in the meantime. Then return the broker's error.
                    self.check_idle(&group).await.and(Err(error))
                }
                result => result,
            };
            named.push((group, result));
        }
        PerItem::new(named)
    }
}

struct DeleteGroups;

impl GroupVerb for DeleteGroups {
    type Value = ();
    // A repeated request would answer that the group does not exist, although the first one
    // succeeded.
    const REPEATABLE: bool = false;

    async fn ask(&self, at: Asked<'_>, groups: &[Arc<str>]) -> Result<Vec<Result<()>>> {
        let names = groups.iter().map(|group| wire_group(group)).collect();
        let request = DeleteGroupsRequest::default().with_groups_names(names);
        let answer = at.send(&request).await?;
        let api = "DeleteGroups";
        let read = |told: &DeletableGroupResult| check(told.error_code, None, api);
        let told = &answer.results;
        Ok(each_told(groups, told, |told| &told.group_id, api, read))
    }
}
