//! Events inside a client. Observers receive them as they happen.

use std::time::Duration;

use crate::{Address, Error, NodeId, Partition, TopicPartition};

/// Something that happened in a client. Emitted per request, batch, rebalance or commit, never per
/// record.
///
/// Durations are wall time from start to end. Sizes are bytes on the wire.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A connection was opened and its handshake succeeded.
    Connected {
        /// The broker. `None` for a bootstrap address, whose broker is not known yet.
        node: Option<NodeId>,
        /// The address that was dialed.
        address: &'a Address,
        /// Time that dialing and handshake took.
        elapsed: Duration,
    },
    /// A connection could not be opened.
    ConnectFailed {
        /// The broker. `None` if not known.
        node: Option<NodeId>,
        /// The address that was dialed.
        address: &'a Address,
        /// The reason.
        error: &'a Error,
    },
    /// A connection ended.
    Disconnected {
        /// The broker. `None` if not known.
        node: Option<NodeId>,
        /// The address of the broker.
        address: &'a Address,
        /// The reason. `None` means that this client closed the connection.
        error: Option<&'a Error>,
    },
    /// A request was answered or failed.
    Request {
        /// The broker. `None` if not known.
        node: Option<NodeId>,
        /// The request's name, such as `Fetch`.
        api: &'static str,
        /// The request's version.
        version: i16,
        /// Time from writing the request to the answer.
        elapsed: Duration,
        /// The request's size.
        sent: usize,
        /// The answer's size.
        received: usize,
        /// The reason why the request got no answer. Error codes inside an answer have events of
        /// their own.
        error: Option<&'a Error>,
    },
    /// A broker asked this client to wait (KIP-219).
    Throttled {
        /// The broker. `None` if not known.
        node: Option<NodeId>,
        /// The name of the request that was throttled.
        api: &'static str,
        /// Time for which the connection sends nothing.
        wait: Duration,
    },
    /// The cluster's metadata was refreshed.
    MetadataRefreshed {
        /// Number of known brokers.
        brokers: usize,
        /// Number of known topics.
        topics: usize,
        /// Time that the refresh took.
        elapsed: Duration,
    },
    /// No known broker can be reached. The client starts again from its bootstrap addresses
    /// (KIP-899).
    Rebootstrap {
        /// The latest failure.
        error: &'a Error,
    },
    /// A batch was acknowledged.
    BatchDelivered {
        /// The partition.
        partition: &'a TopicPartition,
        /// Number of records in the batch.
        records: u32,
        /// Size of the batch on the wire.
        bytes: usize,
        /// Size of the batch before compression.
        plain: usize,
        /// The size limit before compression, `batch.size`.
        limit: usize,
        /// Time from enqueueing the first record to sending the batch for the first time.
        queued: Duration,
        /// Time from enqueueing the first record to the answer.
        elapsed: Duration,
    },
    /// A batch will be sent again.
    BatchRetried {
        /// The partition.
        partition: &'a TopicPartition,
        /// Number of records in the batch.
        records: u32,
        /// Number of times that the batch was sent before.
        attempts: u32,
        /// The reason.
        error: &'a Error,
    },
    /// The producer gave up the records of a batch.
    BatchFailed {
        /// The partition.
        partition: &'a TopicPartition,
        /// Number of records in the batch.
        records: u32,
        /// The reason. It says if the records may have been written.
        error: &'a Error,
    },
    /// A fetch was answered.
    Fetched {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The broker.
        node: NodeId,
        /// Number of partitions with records in the answer.
        partitions: usize,
        /// Size of the records.
        bytes: usize,
        /// Time from the request to the answer.
        elapsed: Duration,
    },
    /// A fetch returned records of a partition.
    Received {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Number of records, including those of aborted transactions.
        records: u64,
        /// Size of the whole batches.
        bytes: usize,
    },
    /// A group's assignment changed.
    Rebalance {
        /// The group.
        group: &'a str,
        /// The generation (classic) or member epoch (KIP-848).
        generation: i32,
        /// The change.
        phase: RebalancePhase,
        /// The partitions that the change concerns.
        partitions: &'a [TopicPartition],
    },
    /// A heartbeat was answered or failed.
    Heartbeat {
        /// The group.
        group: &'a str,
        /// Time from the request to the answer.
        elapsed: Duration,
        /// The reason of a failure. `None` if the heartbeat was accepted.
        error: Option<&'a Error>,
    },
    /// A commit of offsets succeeded or failed.
    Commit {
        /// The group.
        group: &'a str,
        /// Number of partitions in the commit.
        partitions: usize,
        /// Time that the commit took.
        elapsed: Duration,
        /// The reason of a failure. `None` if the commit succeeded.
        error: Option<&'a Error>,
    },
    /// A partition is no longer fetched for now. A gate closed, or its lane waits.
    Paused {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The name of the gate or lane that paused it.
        by: &'a str,
        /// The reason.
        reason: &'a str,
    },
    /// A partition is fetched again. Nothing pauses it any more.
    Resumed {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
    },
    /// A lane stopped because its record could neither be processed nor dead-lettered. The consumer
    /// is reported unhealthy.
    LaneStopped {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The route of the record. All routes that may take records of the topic, separated by
        /// commas, if the lane did not stop because of a record.
        route: &'a str,
        /// The reason.
        reason: &'a str,
    },
    /// A position was out of the log's range and was reset according to `auto.offset.reset`.
    OffsetReset {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The old position, which the log does not hold.
        from: i64,
        /// The new position.
        to: i64,
    },
    /// Records that could not be decoded were skipped, as the consumer's policy says.
    CorruptSkipped {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The first offset that was skipped.
        from: i64,
        /// The offset at which reading continues.
        to: i64,
        /// The reason why the records could not be decoded.
        error: &'a Error,
    },
    /// The log was truncated below the position after an unclean leader election. Records that were
    /// read are gone (KIP-320).
    LogTruncated {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The position before the truncation was found.
        from: i64,
        /// The first offset at which the log differs from what was read. Reading resumes there.
        /// `None` if the broker could not say where the log diverged.
        to: Option<i64>,
    },
    /// A handler has worked on a record for longer than `max_processing_time`. It keeps running.
    HandlerStuck {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The record's offset.
        offset: i64,
        /// The route.
        route: &'a str,
        /// Time since the handler received the record.
        elapsed: Duration,
    },
    /// The partition count of a topic grew.
    PartitionsAdded {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The topic.
        topic: &'a str,
        /// The first new partition.
        first: Partition,
        /// Number of partitions now.
        count: usize,
    },
    /// The program started a consumer. From now on the consumer should be a member of its group, or
    /// read its assigned partitions.
    ConsumerStarted {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
    },
    /// A consumer ended. From now on it fetches, processes and commits nothing.
    ConsumerEnded {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The way in which it ended.
        end: ConsumerEnd<'a>,
    },
    /// A gate of a consumer's routes closed, or has a new reason. Records of its routes wait.
    GateClosed {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The gate's name, such as `breaker:payments` or `dead-letter:orders.dead`.
        gate: &'a str,
        /// The reason.
        reason: &'a str,
    },
    /// A gate of a consumer's routes opened.
    GateOpened {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The gate's name.
        gate: &'a str,
    },
    /// A fetch failed, or a broker refused it for one partition. It is retried after a backoff.
    FetchFailed {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The broker.
        node: NodeId,
        /// The partition that was refused. `None` if the whole request failed.
        partition: Option<&'a TopicPartition>,
        /// The reason.
        error: &'a Error,
    },
    /// The position of a partition could not be looked up. The lookup is retried after a backoff.
    LookupFailed {
        /// The group. Empty for a consumer of assigned partitions.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The reason.
        error: &'a Error,
    },
    /// User code panicked on one of the client's own tasks. The client caught the panic.
    Panicked {
        /// The kind of user code, such as `observer`.
        what: &'a str,
        /// The text of the panic.
        message: &'a str,
    },
}

/// The way in which a consumer ended.
#[derive(Clone, Copy, Debug)]
pub enum ConsumerEnd<'a> {
    /// The program closed or dropped the consumer.
    Closed,
    /// A handler asked the consumer to stop, for this reason.
    Stopped(&'a str),
    /// The consumer could not continue.
    Failed(&'a Error),
}

/// A change of a member's partitions in a rebalance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RebalancePhase {
    /// The member owns the partitions from now on.
    Assigned,
    /// The member gives the partitions up after it committed their offsets.
    Revoked,
    /// The partitions were taken without notice. The member cannot commit their offsets.
    Lost,
}
