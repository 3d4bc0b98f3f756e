//! What happens inside a client, told to observers as it happens.

use std::time::Duration;

use crate::{Address, Error, NodeId, Partition, TopicPartition};

/// Something that happened: per request, batch, rebalance or commit, never per record.
///
/// Durations are wall time from start to end; sizes are bytes on the wire.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection was made and its handshake ended well.
    Connected {
        /// The broker, where known; `None` for a bootstrap address.
        node: Option<NodeId>,
        /// Where it was dialed.
        address: &'a Address,
        /// How long dialing and handshake took.
        elapsed: Duration,
    },
    /// A connection could not be made.
    ConnectFailed {
        /// The broker, where known.
        node: Option<NodeId>,
        /// Where it was dialed.
        address: &'a Address,
        /// Why.
        error: &'a Error,
    },
    /// A connection ended; `None` means that this side closed it.
    Disconnected {
        /// The broker, where known.
        node: Option<NodeId>,
        /// Where it led.
        address: &'a Address,
        /// Why.
        error: Option<&'a Error>,
    },
    /// A request was answered or failed.
    Request {
        /// The broker, where known.
        node: Option<NodeId>,
        /// The request's name, such as `Fetch`.
        api: &'static str,
        /// The version it was sent in.
        version: i16,
        /// From the write to the answer.
        elapsed: Duration,
        /// The request's size.
        sent: usize,
        /// The answer's size.
        received: usize,
        /// Why it failed on the way; errors inside the answer are told elsewhere.
        error: Option<&'a Error>,
    },
    /// A broker asked this client to wait (KIP-219).
    Throttled {
        /// The broker, where known.
        node: Option<NodeId>,
        /// The request that was throttled.
        api: &'static str,
        /// How long the connection stays mute.
        wait: Duration,
    },
    /// The picture of the cluster was renewed.
    MetadataRefreshed {
        /// How many brokers are known.
        brokers: usize,
        /// How many topics are known.
        topics: usize,
        /// How long it took.
        elapsed: Duration,
    },
    /// All known brokers are gone; the client starts over from its bootstrap addresses.
    Rebootstrap {
        /// What failed last.
        error: &'a Error,
    },
    /// A batch was acknowledged.
    BatchDelivered {
        /// The partition.
        partition: &'a TopicPartition,
        /// How many records it holds.
        records: u32,
        /// Its size.
        bytes: usize,
        /// Its size before compression.
        plain: usize,
        /// How large it might have grown before compression: `batch.size`.
        limit: usize,
        /// From the first record's enqueueing to the first sending.
        queued: Duration,
        /// From the first record's enqueueing to the answer.
        elapsed: Duration,
    },
    /// A batch will be sent again.
    BatchRetried {
        /// The partition.
        partition: &'a TopicPartition,
        /// How many records it holds.
        records: u32,
        /// How often it was sent before.
        attempts: u32,
        /// Why.
        error: &'a Error,
    },
    /// A batch's records were given up.
    BatchFailed {
        /// The partition.
        partition: &'a TopicPartition,
        /// How many records it holds.
        records: u32,
        /// Why; says whether they may have been written.
        error: &'a Error,
    },
    /// A fetch was answered.
    Fetched {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The broker.
        node: NodeId,
        /// How many partitions it brought records for.
        partitions: usize,
        /// How many bytes of records.
        bytes: usize,
        /// From the request to the answer.
        elapsed: Duration,
    },
    /// A fetch brought records of a partition.
    Received {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// How many records, those of aborted transactions included.
        records: u64,
        /// How many bytes of whole batches.
        bytes: usize,
    },
    /// A group's assignment changed.
    Rebalance {
        /// The group.
        group: &'a str,
        /// The generation or member epoch.
        generation: i32,
        /// What happened to the partitions.
        phase: RebalancePhase,
        /// The partitions.
        partitions: &'a [TopicPartition],
    },
    /// A heartbeat was answered or failed.
    Heartbeat {
        /// The group.
        group: &'a str,
        /// From the request to the answer.
        elapsed: Duration,
        /// Why it failed.
        error: Option<&'a Error>,
    },
    /// Offsets were committed, or could not be.
    Commit {
        /// The group.
        group: &'a str,
        /// How many partitions.
        partitions: usize,
        /// How long it took.
        elapsed: Duration,
        /// Why it failed.
        error: Option<&'a Error>,
    },
    /// A partition is no longer fetched for now: a gate closed, or its lane waits.
    Paused {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Who paused it: a gate's name.
        by: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// The last one who paused a partition let go.
    Resumed {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
    },
    /// A lane cannot go on: its record could neither be processed nor dead-lettered. Health is red.
    LaneStopped {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The route.
        route: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A position was out of the log's range and was reset as `auto_offset_reset` says.
    OffsetReset {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The position that the log no longer holds.
        from: i64,
        /// The new position.
        to: i64,
    },
    /// Records that could not be read were passed over, as the consumer's policy says.
    CorruptSkipped {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The first offset passed over.
        from: i64,
        /// Where reading goes on.
        to: i64,
        /// What is wrong with them.
        error: &'a Error,
    },
    /// The log was cut below the position, after an unclean election: records that were read are gone (KIP-320).
    LogTruncated {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The position.
        from: i64,
        /// Where the log and what was read part, which is where reading goes on; `None` where that is not known.
        to: Option<i64>,
    },
    /// A handler has had a record for longer than `max_processing_time`; it goes on.
    HandlerStuck {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The record's offset.
        offset: i64,
        /// The route.
        route: &'a str,
        /// How long it has had it.
        elapsed: Duration,
    },
    /// The partition count of a topic grew.
    PartitionsAdded {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The topic.
        topic: &'a str,
        /// The first new partition.
        first: Partition,
        /// How many there are now.
        count: usize,
    },
    /// A consumer's program asked it to work: from now on it is expected to be a member of its group, or to read what it was assigned.
    ConsumerStarted {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
    },
    /// A consumer ended. Nothing of it is fetched, processed or committed from now on.
    ConsumerEnded {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// How it ended.
        end: ConsumerEnd<'a>,
    },
    /// A gate of a consumer's routes closed, or gives another reason: records of its routes wait.
    GateClosed {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The gate's name, such as `breaker:payments` or `dead-letter:orders.dead`.
        gate: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A gate of a consumer's routes opened.
    GateOpened {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The gate's name.
        gate: &'a str,
    },
    /// A fetch failed, or a broker refused it for one partition. It is tried again after a backoff.
    FetchFailed {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The broker.
        node: NodeId,
        /// The partition that was refused; `None` where the whole request failed.
        partition: Option<&'a TopicPartition>,
        /// Why.
        error: &'a Error,
    },
    /// The position of a partition could not be looked up. It is tried again after a backoff.
    LookupFailed {
        /// The group; empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Why.
        error: &'a Error,
    },
    /// User code panicked on one of the client's own tasks, and was contained.
    Panicked {
        /// The kind of user code, such as `observer`.
        what: &'a str,
        /// The text of the panic.
        message: &'a str,
    },
}

/// How a consumer ended.
#[derive(Clone, Copy, Debug)]
pub enum ConsumerEnd<'a> {
    /// Its program closed or dropped it.
    Closed,
    /// A handler asked for it, for this reason.
    Stopped(&'a str),
    /// It could not go on.
    Failed(&'a Error),
}

/// What a rebalance does with partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RebalancePhase {
    /// They are this member's from now on.
    Assigned,
    /// They are given back after their offsets were committed.
    Revoked,
    /// They were taken without notice: nothing of them can be committed.
    Lost,
}
