//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup, translated between the wire and the group's
//! state.

use std::time::Duration;

use milena_core::ErrorCode;
use milena_protocol::messages::join_group_response::JoinGroupResponseMember;
use milena_protocol::messages::leave_group_response::MemberResponse;
use milena_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::context::{Answer, Context, text};
use crate::group::{Identity, JoinReply, Joining, Syncing};

/// Serves a JoinGroup request. Waits until the group has its members.
pub(super) async fn join(context: &Context, request: JoinGroupRequest) -> Answer {
    let group = request.group_id.to_string();
    let reply = match context.coordinates(&group) {
        Err(code) => JoinReply::refused(code, request.member_id.as_str()),
        Ok(()) => {
            let joining = joining(context, request);
            context
                .cluster
                .groups
                .join(&group, context.node.id, joining)
                .await
        }
    };
    // The protocol's name may be null only from version 7 on.
    let unnamed = (context.version < 7).then(String::new);
    let members = reply.members.into_iter().map(|(id, instance, metadata)| {
        let member = JoinGroupResponseMember::default()
            .with_member_id(text(id))
            .with_metadata(metadata);
        if context.version >= 5 {
            member.with_group_instance_id(instance.map(text))
        } else {
            member
        }
    });
    let mut answer = JoinGroupResponse::default()
        .with_error_code(reply.error.map_or(0, |code| context.code(code)))
        .with_generation_id(reply.generation)
        .with_protocol_name(reply.protocol.or(unnamed).map(text))
        .with_leader(text(reply.leader))
        .with_skip_assignment(reply.skip_assignment)
        .with_member_id(text(reply.member_id))
        .with_members(members.collect());
    if context.version >= 7 {
        answer.protocol_type = reply.protocol_type.map(text);
    }
    if context.version >= 2 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    context.answer::<JoinGroupRequest>(&answer)
}

/// Reads a member's join from its request.
fn joining(context: &Context, request: JoinGroupRequest) -> Joining {
    let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let client_id = context.client_id.as_deref().unwrap_or_default().to_owned();
    let instance_id = request.group_instance_id.map(|id| id.to_string());
    let prefix = instance_id.as_ref().unwrap_or(&client_id);
    Joining {
        new_id: format!("{prefix}-{}", Uuid::new_v4()),
        id_first: context.version >= 4,
        can_skip: context.version >= 9,
        who: Identity {
            member_id: request.member_id.to_string(),
            instance_id,
        },
        client_id,
        client_host: context.client_host.to_string(),
        session_timeout: millis(request.session_timeout_ms),
        // Version 0 has only one timeout, which counts for both.
        rebalance_timeout: millis(if context.version == 0 {
            request.session_timeout_ms
        } else {
            request.rebalance_timeout_ms
        }),
        protocol_type: request.protocol_type.to_string(),
        protocols: request
            .protocols
            .into_iter()
            .map(|protocol| (protocol.name.to_string(), protocol.metadata))
            .collect(),
        initial_delay: Duration::ZERO,
    }
}

/// Serves a SyncGroup request. Waits until the leader has sent the assignments.
pub(super) async fn sync(context: &Context, request: SyncGroupRequest) -> Answer {
    let group = request.group_id.to_string();
    let reply = match context.coordinates(&group) {
        Err(code) => Err(code),
        Ok(())
            if context.version >= 5
                && (request.protocol_type.is_none() || request.protocol_name.is_none()) =>
        {
            Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL)
        }
        Ok(()) => {
            let syncing = Syncing {
                who: Identity {
                    member_id: request.member_id.to_string(),
                    instance_id: request.group_instance_id.map(|id| id.to_string()),
                },
                generation: request.generation_id,
                protocol_type: request.protocol_type.map(|name| name.to_string()),
                protocol: request.protocol_name.map(|name| name.to_string()),
                assignments: request
                    .assignments
                    .into_iter()
                    .map(|each| (each.member_id.to_string(), each.assignment))
                    .collect(),
            };
            context.cluster.groups.sync(&group, syncing).await
        }
    };
    let mut answer = SyncGroupResponse::default().with_error_code(context.code_of(&reply));
    if let Ok(synced) = reply {
        answer.assignment = synced.assignment;
        if context.version >= 5 {
            answer.protocol_type = synced.protocol_type.map(text);
            answer.protocol_name = synced.protocol.map(text);
        }
    }
    if context.version >= 1 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    context.answer::<SyncGroupRequest>(&answer)
}

/// Serves a Heartbeat request.
pub(super) fn heartbeat(context: &Context, request: &HeartbeatRequest) -> Answer {
    let who = Identity {
        member_id: request.member_id.to_string(),
        instance_id: request.group_instance_id.as_ref().map(ToString::to_string),
    };
    let group = request.group_id.as_str();
    let result = context.coordinates(group).and_then(|()| {
        let beat = |group: &mut crate::group::Group| {
            group.heartbeat(Instant::now(), &who, request.generation_id)
        };
        context
            .cluster
            .groups
            .with(group, beat)
            .unwrap_or(Err(ErrorCode::UNKNOWN_MEMBER_ID))
    });
    let mut answer = HeartbeatResponse::default().with_error_code(context.code_of(&result));
    if context.version >= 1 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    context.answer::<HeartbeatRequest>(&answer)
}

/// Serves a LeaveGroup request.
pub(super) fn leave(context: &Context, request: &LeaveGroupRequest) -> Answer {
    let group = request.group_id.as_str();
    let mut answer = LeaveGroupResponse::default();
    if context.version >= 1 {
        answer.throttle_time_ms = context.throttle_ms();
    }
    let leave_one = |who: &Identity| {
        let leave = |group: &mut crate::group::Group| group.leave(Instant::now(), who);
        context
            .cluster
            .groups
            .with(group, leave)
            .unwrap_or(Err(ErrorCode::UNKNOWN_MEMBER_ID))
    };
    match context.coordinates(group) {
        Err(code) => answer.error_code = context.code(code),
        Ok(()) if context.version < 3 => {
            let who = Identity {
                member_id: request.member_id.to_string(),
                instance_id: None,
            };
            answer.error_code = context.code_of(&leave_one(&who));
        }
        Ok(()) => {
            answer.members = request
                .members
                .iter()
                .map(|member| {
                    let who = Identity {
                        member_id: member.member_id.to_string(),
                        instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
                    };
                    MemberResponse::default()
                        .with_error_code(context.code_of(&leave_one(&who)))
                        .with_member_id(member.member_id.clone())
                        .with_group_instance_id(member.group_instance_id.clone())
                })
                .collect();
        }
    }
    context.answer::<LeaveGroupRequest>(&answer)
}
