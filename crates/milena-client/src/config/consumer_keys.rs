//! The settings of consumers.

use std::sync::Arc;

use milena_consumer::{AssignedConsumerBuilder, ConsumerBuilder};
use milena_core::{
    AssignorName, Backoff, CorruptPolicy, GroupMembershipOperation, GroupProtocol, IsolationLevel,
    LaneStopPolicy, OffsetReset, Order, StuckPolicy,
};

use super::change::{Change, ConsumerChange};
use super::key::Key;
use super::section::Section;
use super::value::{
    BOOL, COUNT, DURATION, Form, LIST, RANGE, SIZE, SMALL_COUNT, SMALL_SIZE, TEXT, unsaid,
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

const RESET: Form<OffsetReset> = Form::of_word(OffsetReset::ALLOWED);
const PROTOCOL: Form<GroupProtocol> = Form::of_word(GroupProtocol::ALLOWED);
const STUCK: Form<StuckPolicy> = Form::of_word(StuckPolicy::ALLOWED);
const ON_CLOSE: Form<GroupMembershipOperation> = Form::of_word(GroupMembershipOperation::ALLOWED);
const ISOLATION: Form<IsolationLevel> = Form::of_word(IsolationLevel::ALLOWED);
const ORDER: Form<Order> = Form::of_word(Order::ALLOWED);
const LANE_STOP: Form<LaneStopPolicy> = Form::of_word(LaneStopPolicy::ALLOWED);
const CORRUPT: Form<CorruptPolicy> = Form::of_word(CorruptPolicy::ALLOWED);

const ASSIGNORS: Form<Vec<AssignorName>> = Form {
    allowed: "a list of cooperative-sticky, sticky, range and roundrobin",
    why: unsaid,
    read: |raw| {
        let names = (LIST.read)(raw)?;
        names.iter().map(|name| name.parse().ok()).collect()
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assignors_that_a_list_may_have_are_all_named() {
        for name in AssignorName::NAMES {
            assert!(ASSIGNORS.allowed.contains(name), "{name}");
        }
    }
}
