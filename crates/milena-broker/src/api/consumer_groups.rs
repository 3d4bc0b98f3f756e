//! ConsumerGroupHeartbeat and ConsumerGroupDescribe (KIP-848), translated between the wire and the
//! group's state.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_core::ErrorCode;
use milena_protocol::messages::consumer_group_describe_response as described;
use milena_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use milena_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
};
use uuid::Uuid;

use crate::context::{Answer, Context, text, topic_name};
use crate::group::{Beat, ConsumerGroup, Description, Places};
use crate::refused::Refused;

/// Serves a ConsumerGroupHeartbeat request.
pub(super) fn heartbeat(context: &Context, request: &ConsumerGroupHeartbeatRequest) -> Answer {
    let cluster = &context.cluster;
    let group = request.group_id.as_str();
    let allowed = context
        .coordinates(group)
        .and_then(|()| match cluster.settings.group_version {
            0 => Err(ErrorCode::UNSUPPORTED_VERSION),
            _ => Ok(()),
        });
    let done: Result<_, Refused> = allowed
        .map_err(|code| (code, String::new()))
        .and_then(|()| {
            cluster
                .groups
                .beat(group, &beat(context, request), &cluster.world())
        });
    let mut answer =
        ConsumerGroupHeartbeatResponse::default().with_throttle_time_ms(context.throttle_ms());
    match done {
        Ok(reply) => {
            let interval = cluster.settings.consumer_timing.interval.as_millis();
            answer.member_id = Some(text(reply.member_id));
            answer.member_epoch = reply.epoch;
            answer.heartbeat_interval_ms = i32::try_from(interval).unwrap_or(i32::MAX);
            answer.assignment = reply.assignment.map(|places| {
                let topics = places.into_iter().map(|(id, partitions)| {
                    TopicPartitions::default()
                        .with_topic_id(id)
                        .with_partitions(partitions.into_iter().collect())
                });
                Assignment::default().with_topic_partitions(topics.collect())
            });
        }
        Err((code, why)) => {
            answer.error_code = context.code(code);
            answer.error_message = Some(text(why)).filter(|why| !why.is_empty());
        }
    }
    context.answer::<ConsumerGroupHeartbeatRequest>(&answer)
}

/// Reads a heartbeat from its request.
fn beat(context: &Context, request: &ConsumerGroupHeartbeatRequest) -> Beat {
    let mut member_id = request.member_id.to_string();
    if member_id.is_empty() && context.version == 0 && request.member_epoch == 0 {
        // From version 1 on a member chooses its own id. Before, the broker does when it joins.
        member_id = Uuid::new_v4().to_string();
    }
    let millis = u64::try_from(request.rebalance_timeout_ms).ok();
    let owned = request.topic_partitions.as_ref().map(|topics| {
        let mut owned = Places::new();
        for topic in topics {
            let partitions = owned.entry(topic.topic_id).or_default();
            partitions.extend(topic.partitions.iter().copied());
        }
        owned
    });
    Beat {
        member_id,
        epoch: request.member_epoch,
        instance_id: request.instance_id.as_ref().map(ToString::to_string),
        rack: request.rack_id.as_ref().map(ToString::to_string),
        rebalance_timeout: millis.map(Duration::from_millis),
        topics: request
            .subscribed_topic_names
            .as_ref()
            .map(|names| names.iter().map(|name| name.to_string()).collect()),
        regex: request
            .subscribed_topic_regex
            .as_ref()
            .map(ToString::to_string),
        assignor: request.server_assignor.as_ref().map(ToString::to_string),
        owned,
        client_id: context.client_id.as_deref().unwrap_or_default().to_owned(),
        client_host: context.client_host.to_string(),
    }
}

/// Serves a ConsumerGroupDescribe request.
pub(super) fn describe(context: &Context, request: &ConsumerGroupDescribeRequest) -> Answer {
    let groups = request.group_ids.iter().map(|id| {
        let told = described::DescribedGroup::default()
            .with_group_id(id.clone())
            .with_authorized_operations(i32::MIN);
        let found = context.coordinates(id.as_str()).and_then(|()| {
            let describe = |group: &mut crate::group::Group| {
                let found = group.as_consumer();
                found.map(|group| one(context, told.clone(), group))
            };
            let found = context.cluster.groups.with(id.as_str(), describe);
            found.flatten().ok_or(ErrorCode::GROUP_ID_NOT_FOUND)
        });
        found.unwrap_or_else(|code| {
            let why = format!("Group {} is not a consumer group.", id.as_str());
            told.with_error_code(context.code(code))
                .with_error_message(Some(text(why)))
        })
    });
    let answer = ConsumerGroupDescribeResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_groups(groups.collect());
    context.answer::<ConsumerGroupDescribeRequest>(&answer)
}

/// Describes one group.
fn one(
    context: &Context,
    told: described::DescribedGroup,
    group: &ConsumerGroup,
) -> described::DescribedGroup {
    let world = context.cluster.world();
    let names: BTreeMap<Uuid, &String> = world.iter().map(|(name, (id, _))| (*id, name)).collect();
    let assignment = |places: &Places| {
        let topics = places.iter().map(|(id, partitions)| {
            described::TopicPartitions::default()
                .with_topic_id(*id)
                .with_topic_name(topic_name(names.get(id).map_or("", |name| name.as_str())))
                .with_partitions(partitions.iter().copied().collect())
        });
        described::Assignment::default().with_topic_partitions(topics.collect())
    };
    let Description {
        state,
        epoch,
        target_epoch,
        assignor,
        members,
    } = Description::of(group);
    let members = members.into_iter().map(|(member, target)| {
        let names = member.topics.iter().map(|name| topic_name(name));
        let described = described::Member::default()
            .with_member_id(text(member.id.clone()))
            .with_instance_id(member.instance_id.clone().map(text))
            .with_rack_id(member.rack.clone().map(text))
            .with_member_epoch(member.epoch)
            .with_client_id(text(member.client_id.clone()))
            .with_client_host(text(member.client_host.clone()))
            .with_subscribed_topic_names(names.collect())
            .with_subscribed_topic_regex(member.pattern.as_ref().map(|p| text(p.text.clone())))
            .with_assignment(assignment(&member.assigned))
            .with_target_assignment(assignment(&target));
        match context.version {
            0 => described,
            _ => described.with_member_type(1),
        }
    });
    told.with_group_state(text(state.name()))
        .with_group_epoch(epoch)
        .with_assignment_epoch(target_epoch)
        .with_assignor_name(text(assignor))
        .with_members(members.collect())
}
