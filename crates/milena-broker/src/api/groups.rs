//! ListGroups, DescribeGroups and DeleteGroups.

use milena_core::ErrorCode;
use milena_protocol::messages::delete_groups_response::DeletableGroupResult;
use milena_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use milena_protocol::messages::list_groups_response::ListedGroup;
use milena_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    GroupId, ListGroupsRequest, ListGroupsResponse,
};

use crate::context::{Answer, Context, text};
use crate::group::{Group, GroupKind, GroupState, GroupView};

/// Serves a ListGroups request.
pub(super) fn list(context: &Context, request: &ListGroupsRequest) -> Answer {
    let mut answer = ListGroupsResponse::default();
    if context.version >= 1 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    if let Err(code) = context.fault() {
        answer.error_code = context.code(code);
        return context.answer::<ListGroupsRequest>(&answer);
    }
    let states: Vec<String> = request
        .states_filter
        .iter()
        .map(|state| state.to_lowercase())
        .collect();
    let types: Vec<String> = request
        .types_filter
        .iter()
        .map(|kind| kind.to_lowercase())
        .collect();
    // Each broker lists only the groups that it coordinates.
    let ours = context.cluster.groups.names().into_iter().filter(|name| {
        context
            .cluster
            .coordinator(name)
            .is_some_and(|node| node.id == context.node.id)
    });
    for name in ours {
        let Some(view) = context.cluster.groups.view(&name) else {
            continue;
        };
        let state = view.state.name();
        if !states.is_empty() && !states.contains(&state.to_lowercase()) {
            continue;
        }
        if !types.is_empty() && !types.iter().any(|kind| kind == view.kind.name()) {
            continue;
        }
        let mut listed = ListedGroup::default()
            .with_group_id(GroupId(text(name)))
            .with_protocol_type(text(view.protocol_type.unwrap_or_default()));
        if context.version >= 4 {
            listed.group_state = text(state);
        }
        if context.version >= 5 {
            listed.group_type = text(view.kind.name());
        }
        answer.groups.push(listed);
    }
    context.answer::<ListGroupsRequest>(&answer)
}

/// Serves a DescribeGroups request. Only classic groups are described.
pub(super) fn describe(context: &Context, request: &DescribeGroupsRequest) -> Answer {
    let groups = request.groups.iter().map(|group| {
        let told = DescribedGroup::default().with_group_id(group.clone());
        if let Err(code) = context.coordinates(group.as_str()) {
            return told.with_error_code(context.code(code));
        }
        let view = context.cluster.groups.view(group.as_str());
        match view.filter(|view| view.kind == GroupKind::Classic) {
            Some(view) => described(context, told, view),
            // Up to version 5 an unknown group is described as dead. From version 6 on it is an
            // error (KIP-1043).
            None if context.version < 6 => told.with_group_state(text(GroupState::Dead.name())),
            None => told
                .with_group_state(text(GroupState::Dead.name()))
                .with_error_code(context.code(ErrorCode::GROUP_ID_NOT_FOUND))
                .with_error_message(Some(text(format!("Group {} not found.", group.as_str())))),
        }
    });
    let mut answer = DescribeGroupsResponse::default().with_groups(groups.collect());
    if context.version >= 1 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    context.answer::<DescribeGroupsRequest>(&answer)
}

/// Describes one group.
fn described(context: &Context, told: DescribedGroup, view: GroupView) -> DescribedGroup {
    let settled = matches!(
        view.state,
        GroupState::Stable | GroupState::CompletingRebalance
    );
    let members = view.members.into_iter().map(|member| {
        let told = DescribedGroupMember::default()
            .with_member_id(text(member.id))
            .with_client_id(text(member.client_id))
            .with_client_host(text(member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment);
        if context.version >= 4 {
            told.with_group_instance_id(member.instance_id.map(text))
        } else {
            told
        }
    });
    told.with_group_state(text(view.state.name()))
        .with_protocol_type(text(view.protocol_type.unwrap_or_default()))
        .with_protocol_data(text(view.protocol.filter(|_| settled).unwrap_or_default()))
        .with_members(members.collect())
}

/// Serves a DeleteGroups request.
pub(super) fn delete(context: &Context, request: &DeleteGroupsRequest) -> Answer {
    let results = request.groups_names.iter().map(|group| {
        let done = context
            .coordinates(group.as_str())
            .and_then(|()| delete_one(context, group.as_str()));
        DeletableGroupResult::default()
            .with_group_id(group.clone())
            .with_error_code(context.code_of(&done))
    });
    let answer = DeleteGroupsResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_results(results.collect());
    context.answer::<DeleteGroupsRequest>(&answer)
}

/// Deletes one group, which must not have members.
fn delete_one(context: &Context, group: &str) -> Result<(), ErrorCode> {
    match context
        .cluster
        .groups
        .with(group, |group: &mut Group| group.has_members())
    {
        None => Err(ErrorCode::GROUP_ID_NOT_FOUND),
        Some(true) => Err(ErrorCode::NON_EMPTY_GROUP),
        Some(false) => {
            context.cluster.groups.delete(group);
            Ok(())
        }
    }
}
