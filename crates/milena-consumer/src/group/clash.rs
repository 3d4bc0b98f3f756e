//! Explains why a group cannot be joined. The text compares what the members agree on with what
//! this one offers.

use std::sync::Arc;

use milena_assignor::Assignor;
use milena_core::{Error, ErrorCode, ErrorKind};
use milena_pool::Role;
use milena_protocol::messages::DescribeGroupsRequest;

use super::requests::text;
use crate::coordinator::Coordinator;

/// Adds to an inconsistent-protocol refusal what the group's members agree on.
pub(super) async fn explain(
    coordinator: &Coordinator,
    assignors: &[Arc<dyn Assignor>],
    error: Error,
) -> Error {
    if error.code() != Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL) {
        return error;
    }
    let ours: Vec<_> = assignors.iter().map(|a| a.name()).collect();
    let theirs = match describe(coordinator).await {
        Ok(group) if !group.protocol_data.is_empty() => {
            format!(
                "the group's members agree on `{}`",
                group.protocol_data.as_str()
            )
        }
        Ok(group) if !matches!(group.protocol_type.as_str(), "" | "consumer") => {
            format!(
                "the group has the protocol type `{}`",
                group.protocol_type.as_str()
            )
        }
        _ => "the group's members offer other assignors".to_owned(),
    };
    let what = format!(
        "{theirs}, and this one offers `{}`: let all members offer one in common with `assignors`, or use another group.id",
        ours.join("`, `")
    );
    let cause = Error::new(ErrorKind::Config, what);
    error
        .setting("partition.assignment.strategy")
        .with_source(cause)
}

/// Asks the coordinator to describe the group. Only classic groups can be described.
pub(super) async fn describe(
    coordinator: &Coordinator,
) -> milena_core::Result<milena_protocol::messages::describe_groups_response::DescribedGroup> {
    let request =
        DescribeGroupsRequest::default().with_groups(vec![text(coordinator.group_name()).into()]);
    let connection = coordinator.connection(Role::Heartbeat).await?;
    let answer = connection.call(&request).await?;
    let group = answer.groups.into_iter().next().ok_or_else(|| {
        Error::new(ErrorKind::Decode, "the answer leaves out the group").api("DescribeGroups")
    })?;
    match ErrorCode::from_wire(group.error_code) {
        Some(code) => Err(Error::broker(code).api("DescribeGroups")),
        None => Ok(group),
    }
}
