//! The settings of consumers.

use std::time::Duration;

use milena_core::{
    AssignorName, Backoff, CorruptPolicy, GroupMembershipOperation, GroupProtocol, IsolationLevel,
    LaneStopPolicy, OffsetReset, Order, StuckPolicy,
};

use crate::setting::settings;
use crate::value::{
    BACKOFF, BOOL, COUNT, DURATION, Form, LIST, SIZE, SMALL_COUNT, SMALL_SIZE, TEXT, unsaid,
};

settings! {
    /// The settings of consumers, as far as they were given. `None` leaves the default.
    ConsumerDraft of Consumer {
        topics: Vec<String> = "", LIST, "", "the topics to read if the program names none";
        topic_pattern: String = "", TEXT, "", "a regular expression; topics whose whole name matches it are read too";
        assignors: Vec<AssignorName> = "partition.assignment.strategy", ASSIGNORS, "", "how members divide partitions, best first; naming one implies the classic protocol, whose default is cooperative-sticky";
        group_protocol: GroupProtocol = "group.protocol", PROTOCOL, "auto", "the protocol of the group; members assign partitions (classic), or the coordinator does (consumer)";
        group_remote_assignor: String = "group.remote.assignor", TEXT, "", "the coordinator's assignor, such as uniform or range";
        client_rack: String = "client.rack", TEXT, "", "the consumer's rack, to read from replicas in the same rack";
        group_membership_on_close: GroupMembershipOperation = "", ON_CLOSE, "default", "whether the consumer leaves its group when it closes";
        group_instance_id: String = "group.instance.id", TEXT, "", "makes this a static member, whose restart moves no partitions";
        session_timeout: Duration = "session.timeout.ms", DURATION, "45s", "the time without a heartbeat after which the coordinator removes a member";
        heartbeat_interval: Duration = "heartbeat.interval.ms", DURATION, "3s", "the time between two heartbeats";
        rebalance_timeout: Duration = "max.poll.interval.ms", DURATION, "60s", "how long the coordinator waits for members to join again";
        drain_timeout: Duration = "", DURATION, "30s", "the time that handlers get to end when their partition is given back";
        commit_interval: Duration = "auto.commit.interval.ms", DURATION, "1s", "the time between two commits while a handler runs";
        manual_commit: bool = "", BOOL, "false", "whether only the program commits offsets";
        commit_metadata: String = "", TEXT, "", "a text that goes into each commit";
        auto_offset_reset: OffsetReset = "auto.offset.reset", RESET, "earliest", "where to begin without a committed offset, or when it is out of range; a partition or topic that appears after the consumer began is read from its first record, also with latest";
        isolation_level: IsolationLevel = "isolation.level", ISOLATION, "read_committed", "whether records of open and aborted transactions are read";
        fetch_max_wait: Duration = "fetch.max.wait.ms", DURATION, "500ms", "how long a broker may wait for fetch_min_bytes";
        fetch_min_bytes: u32 = "fetch.min.bytes", SMALL_SIZE, "1", "the bytes that a broker waits for before it answers";
        fetch_max_bytes: usize = "fetch.max.bytes", SIZE, "32MiB", "the most bytes of one answer";
        max_partition_fetch_bytes: usize = "max.partition.fetch.bytes", SIZE, "1MiB", "the first limit of a partition's bytes in an answer; it grows with the size of batches";
        buffer_memory: usize = "", SIZE, "64MiB", "the most bytes that fetched records may hold";
        max_batch_size: usize = "", SIZE, "128MiB", "the most bytes that one batch may decompress to";
        check_crcs: bool = "check.crcs", BOOL, "true", "whether the checksums of batches are checked";
        on_corrupt: CorruptPolicy = "", CORRUPT, "stop", "the action for a batch that cannot be read";
        order: Order = "", ORDER, "partition", "which records keep their order while a handler runs";
        max_out_of_order: usize = "", COUNT, "10000", "the most records that may wait for their commit behind one that is not done";
        on_lane_stop: LaneStopPolicy = "", LANE_STOP, "stop", "the action when a lane cannot go on";
        max_processing_time: Duration = "", DURATION, "5m", "the time after which a handler that still has a record is reported";
        on_stuck: StuckPolicy = "", STUCK, "report", "the action in addition to that report";
        shutdown_timeout: Duration = "", DURATION, "60s", "the longest time for closing";
        max_attempts: u32 = "", SMALL_COUNT, "5", "the attempts for a record if no layer retries";
        retry_backoff: Backoff = "", BACKOFF, "100ms..10s", "the shortest and the longest wait between those attempts";
    }
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
