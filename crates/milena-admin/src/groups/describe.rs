//! Describes groups (ConsumerGroupDescribe, and DescribeGroups for classic groups).

use std::sync::Arc;

use milena_core::{Error, ErrorCode, ErrorKind, NodeId, Result};
use milena_protocol::messages::consumer_group_describe_response as consumer;
use milena_protocol::messages::describe_groups_response as classic;
use milena_protocol::messages::{ConsumerGroupDescribeRequest, DescribeGroupsRequest};

use super::each::{GroupVerb, each_told};
use super::members::{assignment, subscription};
use super::types::{GroupDescription, GroupState, GroupType, MemberDescription};
use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{check, places, text, wire_group};
use crate::shard::Asked;

impl Admin {
    /// Describes groups with their members, both classic and KIP-848 groups. Each group succeeds or
    /// fails separately.
    ///
    /// # Errors
    /// An item fails with `GROUP_ID_NOT_FOUND`, `GROUP_AUTHORIZATION_FAILED`, with a timeout and so
    /// on.
    ///
    /// # References
    /// ConsumerGroupDescribe, api key 69; DescribeGroups, api key 15.
    pub async fn describe_groups<G: Into<String>>(
        &self,
        groups: impl IntoIterator<Item = G>,
    ) -> PerItem<String, GroupDescription> {
        self.each_group(DescribeGroups, groups).await
    }

    /// Fails if `group` has members, and names them. A group that does not exist has none.
    pub(crate) async fn check_idle(&self, group: &str) -> Result<()> {
        let described = self.describe_groups([group]).await.all();
        let described = match described {
            Ok(described) => described,
            Err(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => return Ok(()),
            Err(error) => return Err(error),
        };
        let members: Vec<_> = described.iter().flat_map(|group| &group.members).collect();
        if members.is_empty() {
            return Ok(());
        }
        let mut named: Vec<String> = members
            .iter()
            .take(NAMED)
            .map(ToString::to_string)
            .collect();
        if members.len() > NAMED {
            named.push(format!("and {} more", members.len() - NAMED));
        }
        let what = format!("the group has active members: {}", named.join(", "));
        Err(Error::new(ErrorKind::State, what).group(group))
    }
}

struct DescribeGroups;

impl GroupVerb for DescribeGroups {
    type Value = GroupDescription;
    const REPEATABLE: bool = true;

    async fn ask(
        &self,
        at: Asked<'_>,
        groups: &[Arc<str>],
    ) -> Result<Vec<Result<GroupDescription>>> {
        let mut results = by_consumer_protocol(at, groups).await?;
        let open: Vec<usize> = (0..groups.len())
            .filter(|nth| results.get(*nth).is_none_or(is_for_classic))
            .collect();
        if !open.is_empty() {
            let asked: Vec<Arc<str>> = open
                .iter()
                .filter_map(|nth| groups.get(*nth).cloned())
                .collect();
            let told = by_classic_protocol(at, &asked).await?;
            for (nth, result) in open.into_iter().zip(told) {
                if let Some(place) = results.get_mut(nth) {
                    *place = result;
                }
            }
        }
        Ok(results)
    }
}

/// Returns true if the group must be described by DescribeGroups instead.
fn is_for_classic(result: &Result<GroupDescription>) -> bool {
    let code = result.as_ref().err().map(Error::code);
    matches!(
        code,
        Some(Some(
            ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::UNSUPPORTED_VERSION
        ))
    )
}

/// Describes groups by ConsumerGroupDescribe. Groups that are not KIP-848 groups fail.
async fn by_consumer_protocol(
    at: Asked<'_>,
    groups: &[Arc<str>],
) -> Result<Vec<Result<GroupDescription>>> {
    let ids = groups.iter().map(|group| wire_group(group)).collect();
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(ids);
    let answer = match at.send(&request).await {
        Ok(answer) => answer,
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            let unsupported = || Err(Error::broker(ErrorCode::UNSUPPORTED_VERSION));
            return Ok(groups.iter().map(|_| unsupported()).collect());
        }
        Err(error) => return Err(error),
    };
    let api = "ConsumerGroupDescribe";
    let read = |told: &consumer::DescribedGroup| {
        check(told.error_code, told.error_message.as_ref(), api)?;
        Ok(of_consumer(told, at.node))
    };
    let told = &answer.groups;
    Ok(each_told(groups, told, |told| &told.group_id, api, read))
}

fn of_consumer(told: &consumer::DescribedGroup, node: NodeId) -> GroupDescription {
    let list = |assignment: &consumer::Assignment| {
        let topics = assignment.topic_partitions.iter();
        places(topics.map(|topic| (topic.topic_name.0.as_str(), &topic.partitions[..])))
    };
    let member = |told: &consumer::Member| MemberDescription {
        id: told.member_id.to_string(),
        instance_id: told.instance_id.as_ref().map(ToString::to_string),
        client_id: told.client_id.to_string(),
        client_host: told.client_host.to_string(),
        rack: told.rack_id.as_ref().map(ToString::to_string),
        epoch: Some(told.member_epoch),
        subscribed: told
            .subscribed_topic_names
            .iter()
            .map(|name| name.0.as_str().into())
            .collect(),
        assignment: list(&told.assignment),
        target: Some(list(&told.target_assignment)),
    };
    GroupDescription {
        group: told.group_id.to_string(),
        kind: GroupType::Consumer,
        state: GroupState::from_word(&told.group_state),
        protocol_type: "consumer".to_owned(),
        assignor: text(&told.assignor_name),
        epoch: Some(told.group_epoch),
        coordinator: node,
        members: told.members.iter().map(member).collect(),
    }
}

/// Describes groups by DescribeGroups.
async fn by_classic_protocol(
    at: Asked<'_>,
    groups: &[Arc<str>],
) -> Result<Vec<Result<GroupDescription>>> {
    let ids = groups.iter().map(|group| wire_group(group)).collect();
    let request = DescribeGroupsRequest::default().with_groups(ids);
    let answer = at.send(&request).await?;
    let api = "DescribeGroups";
    let read = |told: &classic::DescribedGroup| {
        check(told.error_code, told.error_message.as_ref(), api)?;
        let described = of_classic(told, at.node);
        // Before version 6, a group that does not exist is described as dead (KIP-1043).
        if described.state == GroupState::Dead {
            return Err(Error::broker(ErrorCode::GROUP_ID_NOT_FOUND).api(api));
        }
        Ok(described)
    };
    let told = &answer.groups;
    Ok(each_told(groups, told, |told| &told.group_id, api, read))
}

fn of_classic(told: &classic::DescribedGroup, node: NodeId) -> GroupDescription {
    let of_consumers = *told.protocol_type == *"consumer";
    let member = |told: &classic::DescribedGroupMember| MemberDescription {
        id: told.member_id.to_string(),
        instance_id: told.group_instance_id.as_ref().map(ToString::to_string),
        client_id: told.client_id.to_string(),
        client_host: told.client_host.to_string(),
        rack: None,
        epoch: None,
        subscribed: if of_consumers {
            subscription(&told.member_metadata)
        } else {
            Vec::new()
        },
        assignment: if of_consumers {
            assignment(&told.member_assignment)
        } else {
            Vec::new()
        },
        target: None,
    };
    GroupDescription {
        group: told.group_id.to_string(),
        kind: GroupType::Classic,
        state: GroupState::from_word(&told.group_state),
        protocol_type: told.protocol_type.to_string(),
        assignor: text(&told.protocol_data),
        epoch: None,
        coordinator: node,
        members: told.members.iter().map(member).collect(),
    }
}

/// The most members that an error names.
const NAMED: usize = 10;
