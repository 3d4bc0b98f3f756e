//! The settings of consumers.

use std::sync::Arc;
use std::time::Duration;

use milena_consumer::{
    AssignedConsumerBuilder, ConsumerBuilder, CorruptPolicy, GroupMembershipOperation,
    GroupProtocol, IsolationLevel, LaneStopPolicy, OffsetReset, Order, StuckPolicy,
};
use milena_core::{Backoff, Timestamp};

use super::change::{Change, ConsumerChange};
use super::key::Key;
use super::section::Section;
use super::value::{
    BOOL, COUNT, DURATION, Form, LIST, RANGE, SIZE, SMALL_COUNT, SMALL_SIZE, TEXT, duration, unsaid,
};

macro_rules! keys {
    ($($who:ident $name:literal, $kafka:literal, $form:expr, $default:literal, $about:literal: |$builder:ident, $value:ident| $set:expr;)*) => {
        /// The settings of consumers.
        pub(super) const KEYS: &[Key] = &[$(Key {
            section: Section::Consumer,
            name: $name,
            kafka: $kafka,
            allowed: $form.allowed,
            why: $form.why,
            default: $default,
            about: $about,
            read: |raw| {
                let given = ($form.read)(raw)?;
                Some(Change::Consumer(keys!(@change $who given |$builder, $value| $set)))
            },
        },)*];
    };
    (@change member $given:ident |$builder:ident, $value:ident| $set:expr) => {
        ConsumerChange {
            member: Arc::new(move |$builder: ConsumerBuilder| {
                let $value = $given.clone();
                $set
            }),
            assigned: None,
        }
    };
    (@change every $given:ident |$builder:ident, $value:ident| $set:expr) => {
        ConsumerChange {
            member: {
                let given = $given.clone();
                Arc::new(move |$builder: ConsumerBuilder| {
                    let $value = given.clone();
                    $set
                })
            },
            assigned: Some(Arc::new(move |$builder: AssignedConsumerBuilder| {
                let $value = $given.clone();
                $set
            })),
        }
    };
}

// `member` marks settings of consumers in a group only, `every` those of all consumers.
keys! {
    member "topics", "", LIST, "", "the topics to read if the program names none":
        |builder, value| builder.topics(value);
    member "topic_pattern", "", TEXT, "", "a regular expression; topics whose whole name matches it are read too":
        |builder, value| builder.topic_pattern(value);
    member "assignors", "partition.assignment.strategy", ASSIGNORS, "", "how members divide partitions, best first; naming one implies the classic protocol, whose default is cooperative-sticky":
        |builder, value| builder.assignors(value);
    member "group_protocol", "group.protocol", PROTOCOL, "auto", "the protocol of the group; members assign partitions (classic), or the coordinator does (consumer)":
        |builder, value| builder.group_protocol(value);
    member "group_remote_assignor", "group.remote.assignor", TEXT, "", "the coordinator's assignor, such as uniform or range":
        |builder, value| builder.group_remote_assignor(value);
    every "client_rack", "client.rack", TEXT, "", "the consumer's rack, to read from replicas in the same rack":
        |builder, value| builder.client_rack(value);
    member "group_membership_on_close", "", ON_CLOSE, "default", "whether the consumer leaves its group when it closes":
        |builder, value| builder.group_membership_on_close(value);
    member "group_instance_id", "group.instance.id", TEXT, "", "makes this a static member, whose restart moves no partitions":
        |builder, value| builder.group_instance_id(value);
    member "session_timeout", "session.timeout.ms", DURATION, "45s", "the time without a heartbeat after which the coordinator removes a member":
        |builder, value| builder.session_timeout(value);
    member "heartbeat_interval", "heartbeat.interval.ms", DURATION, "3s", "the time between two heartbeats":
        |builder, value| builder.heartbeat_interval(value);
    member "rebalance_timeout", "max.poll.interval.ms", DURATION, "60s", "how long the coordinator waits for members to join again":
        |builder, value| builder.rebalance_timeout(value);
    every "drain_timeout", "", DURATION, "30s", "the time that handlers get to end when their partition is given back":
        |builder, value| builder.drain_timeout(value);
    member "commit_interval", "auto.commit.interval.ms", DURATION, "1s", "the time between two commits while a handler runs":
        |builder, value| builder.commit_interval(value);
    member "manual_commit", "", BOOL, "false", "whether only the program commits offsets":
        |builder, value| if value { builder.manual_commit() } else { builder };
    member "commit_metadata", "", TEXT, "", "a text that goes into each commit":
        |builder, value| builder.commit_metadata(value);
    every "auto_offset_reset", "auto.offset.reset", RESET, "earliest", "where to begin without a committed offset, or when it is out of range; a partition or topic that appears after the consumer began is read from its first record, also with latest":
        |builder, value| builder.auto_offset_reset(value);
    every "isolation_level", "isolation.level", ISOLATION, "read_committed", "whether records of open and aborted transactions are read":
        |builder, value| builder.isolation_level(value);
    every "fetch_max_wait", "fetch.max.wait.ms", DURATION, "500ms", "how long a broker may wait for fetch_min_bytes":
        |builder, value| builder.fetch_max_wait(value);
    every "fetch_min_bytes", "fetch.min.bytes", SMALL_SIZE, "1", "the bytes that a broker waits for before it answers":
        |builder, value| builder.fetch_min_bytes(value);
    every "fetch_max_bytes", "fetch.max.bytes", SIZE, "32MiB", "the most bytes of one answer":
        |builder, value| builder.fetch_max_bytes(value);
    every "max_partition_fetch_bytes", "max.partition.fetch.bytes", SIZE, "1MiB", "the first limit of a partition's bytes in an answer; it grows with the size of batches":
        |builder, value| builder.max_partition_fetch_bytes(value);
    every "buffer_memory", "", SIZE, "64MiB", "the most bytes that fetched records may hold":
        |builder, value| builder.buffer_memory(value);
    every "max_batch_size", "", SIZE, "128MiB", "the most bytes that one batch may decompress to":
        |builder, value| builder.max_batch_size(value);
    every "check_crcs", "check.crcs", BOOL, "true", "whether the checksums of batches are checked":
        |builder, value| builder.check_crcs(value);
    every "on_corrupt", "", CORRUPT, "stop", "the action for a batch that cannot be read":
        |builder, value| builder.on_corrupt(value);
    every "order", "", ORDER, "partition", "which records keep their order while a handler runs":
        |builder, value| builder.order(value);
    every "max_out_of_order", "", COUNT, "10000", "the most records that may wait for their commit behind one that is not done":
        |builder, value| builder.max_out_of_order(value);
    every "on_lane_stop", "", LANE_STOP, "stop", "the action when a lane cannot go on":
        |builder, value| builder.on_lane_stop(value);
    every "max_processing_time", "", DURATION, "5m", "the time after which a handler that still has a record is reported":
        |builder, value| builder.max_processing_time(value);
    every "on_stuck", "", STUCK, "report", "the action in addition to that report":
        |builder, value| builder.on_stuck(value);
    every "shutdown_timeout", "", DURATION, "60s", "the longest time for closing":
        |builder, value| builder.shutdown_timeout(value);
    every "max_attempts", "", SMALL_COUNT, "5", "the attempts for a record if no layer retries":
        |builder, value| builder.max_attempts(value);
    every "retry_backoff", "", RANGE, "100ms..10s", "the shortest and the longest wait between those attempts":
        |builder, value| builder.retry_backoff(Backoff::new(value.0, value.1));
}

const RESET: Form<OffsetReset> = Form {
    allowed: "earliest, latest, none, duration:TIME such as duration:6h, or timestamp:MILLISECONDS",
    why: unsaid,
    read: |raw| match raw.text()? {
        "earliest" => Some(OffsetReset::Earliest),
        "latest" => Some(OffsetReset::Latest),
        "none" => Some(OffsetReset::None),
        text => match text.split_once(':')? {
            ("duration", time) => duration(time)
                .filter(|time| *time > Duration::ZERO)
                .map(OffsetReset::Duration),
            ("timestamp", millis) => {
                let at = Timestamp::from_wire(millis.parse().ok()?)?;
                Some(OffsetReset::Timestamp(at))
            }
            _ => None,
        },
    },
};

const ASSIGNORS: Form<Vec<String>> = Form {
    allowed: "a list of cooperative-sticky, sticky, range and roundrobin",
    why: unsaid,
    read: |raw| {
        let known = ["cooperative-sticky", "sticky", "range", "roundrobin"];
        let names = (LIST.read)(raw)?;
        let all = names.iter().all(|name| known.contains(&name.as_str()));
        all.then_some(names)
    },
};

const PROTOCOL: Form<GroupProtocol> = Form {
    allowed: "auto, classic or consumer",
    why: unsaid,
    read: |raw| match raw.text()? {
        "auto" => Some(GroupProtocol::Auto),
        "classic" => Some(GroupProtocol::Classic),
        "consumer" => Some(GroupProtocol::Consumer),
        _ => None,
    },
};

const STUCK: Form<StuckPolicy> = Form {
    allowed: "report or stop_lane",
    why: unsaid,
    read: |raw| match raw.text()? {
        "report" => Some(StuckPolicy::Report),
        "stop_lane" => Some(StuckPolicy::StopLane),
        _ => None,
    },
};

const ON_CLOSE: Form<GroupMembershipOperation> = Form {
    allowed: "default, leave_group or remain_in_group",
    why: unsaid,
    read: |raw| match raw.text()? {
        "default" => Some(GroupMembershipOperation::Default),
        "leave_group" => Some(GroupMembershipOperation::LeaveGroup),
        "remain_in_group" => Some(GroupMembershipOperation::RemainInGroup),
        _ => None,
    },
};

const ISOLATION: Form<IsolationLevel> = Form {
    allowed: "read_committed or read_uncommitted",
    why: unsaid,
    read: |raw| match raw.text()? {
        "read_committed" => Some(IsolationLevel::ReadCommitted),
        "read_uncommitted" => Some(IsolationLevel::ReadUncommitted),
        _ => None,
    },
};

const ORDER: Form<Order> = Form {
    allowed: "partition, or key:LANES or unordered:LANES, such as key:8",
    why: unsaid,
    read: |raw| match raw.text()? {
        "partition" => Some(Order::Partition),
        text => {
            let (order, lanes) = text.split_once(':')?;
            let lanes = lanes
                .parse()
                .ok()
                .filter(|lanes| (1..=4096).contains(lanes));
            match order {
                "key" => lanes.map(Order::Key),
                "unordered" => lanes.map(Order::Unordered),
                _ => None,
            }
        }
    },
};

const LANE_STOP: Form<LaneStopPolicy> = Form {
    allowed: "stop or pause",
    why: unsaid,
    read: |raw| match raw.text()? {
        "stop" => Some(LaneStopPolicy::Stop),
        "pause" => Some(LaneStopPolicy::Pause),
        _ => None,
    },
};

const CORRUPT: Form<CorruptPolicy> = Form {
    allowed: "stop or skip",
    why: unsaid,
    read: |raw| match raw.text()? {
        "stop" => Some(CorruptPolicy::Stop),
        "skip" => Some(CorruptPolicy::Skip),
        _ => None,
    },
};
