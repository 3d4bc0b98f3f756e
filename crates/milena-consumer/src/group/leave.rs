//! Leaves the group at the end of a membership, so that the other members get its partitions at
//! once and not only when its session expires.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorCode, Result};
use milena_pool::Role;
use milena_protocol::ApiKey;
use milena_protocol::messages::leave_group_request::MemberIdentity;
use milena_protocol::messages::{ConsumerGroupHeartbeatRequest, LeaveGroupRequest};
use tokio::time::timeout;

use super::requests::text;
use super::signals::Signals;
use crate::coordinator::Coordinator;
use crate::settings::Settings;

/// Leaves the group if [`GroupMembershipOperation`](super::GroupMembershipOperation) asks for it.
///
/// Call it after the partitions were given back or lost, never before. Waits at most [`LEAVE`].
/// Does nothing if the coordinator does not know this member. An error is logged, because the
/// session expires anyway.
pub(super) async fn leave(coordinator: &Coordinator, signals: &Signals, settings: &Settings) {
    let Some(member) = signals.known_as.lock().take() else {
        return;
    };
    let instance = settings.instance.as_deref();
    let is_static = instance.is_some();
    let leaves = signals.on_close.lock().leaves(is_static);
    let group = coordinator.group_name();
    let leaving = async {
        match signals.is_coordinated() {
            true if leaves => beat_for_the_last_time(coordinator, instance, &member, LEAVES).await,
            // Epoch -2 tells the coordinator that this static member will come back with the same
            // instance id, so its partitions stay with it until the session ends.
            true if is_static => {
                beat_for_the_last_time(coordinator, instance, &member, LEAVES_FOR_A_WHILE).await
            }
            false if leaves => leave_classic(coordinator, instance, &member).await,
            _ => Ok(()),
        }
    };
    match timeout(LEAVE, leaving).await {
        Ok(Ok(())) if leaves => tracing::info!(group, member = &*member, "left the group"),
        Ok(Ok(())) => {
            tracing::info!(
                group,
                member = &*member,
                "did not leave the group: it stays a member until its session ends"
            );
        }
        Ok(Err(error)) => tracing::info!(
            group, member = &*member, %error,
            "could not leave the group: its partitions go to other members when the session ends"
        ),
        Err(_) => tracing::info!(
            group,
            member = &*member,
            "could not leave the group in time: its partitions go to other members when the session ends"
        ),
    }
}

/// Sends LeaveGroup for a member of a classic group.
async fn leave_classic(
    coordinator: &Coordinator,
    instance: Option<&str>,
    member: &Arc<str>,
) -> Result<()> {
    let connection = coordinator.connection(Role::Heartbeat).await?;
    let version = connection.versions().negotiate(ApiKey::LeaveGroup)?;
    let request = LeaveGroupRequest::default().with_group_id(text(coordinator.group_name()).into());
    let request = if version < LEAVE_MANY_FROM {
        request.with_member_id(text(member))
    } else {
        let identity = MemberIdentity::default()
            .with_member_id(text(member))
            .with_group_instance_id(instance.map(text));
        request.with_members(vec![identity])
    };
    let answer = connection.call_version(&request, version, LEAVE).await?;
    refused(answer.error_code, "LeaveGroup")
}

/// Sends the heartbeat that announces a leave under the consumer protocol.
async fn beat_for_the_last_time(
    coordinator: &Coordinator,
    instance: Option<&str>,
    member: &Arc<str>,
    epoch: i32,
) -> Result<()> {
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(coordinator.group_name()).into())
        .with_member_id(text(member))
        .with_member_epoch(epoch)
        .with_instance_id(instance.map(text));
    let connection = coordinator.connection(Role::Heartbeat).await?;
    let answer = connection.call_with(&request, LEAVE).await?;
    refused(answer.error_code, "ConsumerGroupHeartbeat")
}

fn refused(code: i16, api: &'static str) -> Result<()> {
    match ErrorCode::from_wire(code) {
        Some(code) => Err(Error::broker(code).api(api)),
        None => Ok(()),
    }
}

/// Member epochs that announce a leave under the consumer protocol. -1 leaves for good, -2 leaves
/// for a restart.
const LEAVES: i32 = -1;
const LEAVES_FOR_A_WHILE: i32 = -2;
/// Longest time that leaving may take. A caller that closes the consumer waits for it.
const LEAVE: Duration = Duration::from_secs(5);
/// First version of LeaveGroup that lists members (KIP-345).
const LEAVE_MANY_FROM: i16 = 3;
