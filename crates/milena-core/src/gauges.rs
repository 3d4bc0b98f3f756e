//! Gauges: figures that are read on request, in contrast to events.

use std::fmt;
use std::time::Duration;

use crate::{Address, Error, NodeId, Offset, TopicPartition};

/// The value of a figure now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Gauge<'a> {
    /// The number of records from the committed offset to the end of the log.
    Lag {
        /// The group. Empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Number of records.
        records: u64,
    },
    /// The age of the record that is being read in a partition that lags behind. Zero without lag.
    LagTime {
        /// The group. Empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Time since the record was written. Exact to one batch.
        age: Duration,
    },
    /// The offset that may be committed for a partition.
    Settled {
        /// The group. Empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// One past the last settled record.
        offset: Offset,
    },
    /// A consumer's membership in its group.
    Member {
        /// The group.
        group: &'a str,
        /// The generation (classic) or member epoch (KIP-848). `None` while the consumer is no
        /// member.
        generation: Option<i32>,
        /// True if the consumer has been a member at any time since it was started.
        joined: bool,
        /// Time for which the consumer has been a member, or has not been one.
        age: Duration,
    },
    /// The number of delivered records of a partition that are not settled.
    LaneDepth {
        /// The group. Empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Number of records.
        records: u64,
    },
    /// The use of a buffer.
    BufferUsed {
        /// The buffer: `producer` or `consumer`.
        buffer: &'a str,
        /// Bytes in use.
        used: u64,
        /// Size of the buffer in bytes.
        limit: u64,
        /// Time for which callers have waited for room without a break. `None` while no caller
        /// waits.
        waited: Option<Duration>,
    },
    /// The oldest delivered record that is not settled, and the reason why it is not.
    OldestUnsettled {
        /// The group. Empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The record's offset.
        offset: Offset,
        /// Time since the record was delivered. For a record that was held, time since the hold
        /// began or ended.
        age: Duration,
        /// The step that the record waits for.
        state: RecordState<'a>,
    },
    /// A partition without unsettled records that is not known to be read to its end.
    Undelivered {
        /// The group. Empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Time since a record of the partition was last delivered or settled.
        age: Duration,
        /// The step that must come next.
        next: NextStep,
    },
    /// A partition that cannot be fetched, or whose position cannot be looked up.
    FetchTrouble {
        /// The group. Empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Time since the first of the latest failures in a row.
        age: Duration,
        /// The reason of the latest failure.
        error: &'a Error,
    },
    /// A paused partition, and the name of what pauses it.
    Paused {
        /// The group. Empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The name of the gate.
        by: &'a str,
    },
    /// A gate of a consumer's routes.
    Gate {
        /// The group. Empty without one.
        group: &'a str,
        /// The gate's name, such as `breaker:payments` or `dead-letter:orders.dead`.
        name: &'a str,
        /// The reason why the gate is closed. `None` while it is open.
        closed: Option<&'a str>,
    },
    /// A circuit breaker.
    Breaker {
        /// The name of the dependency.
        name: &'a str,
        /// The state of the breaker.
        state: BreakerPhase,
    },
    /// The shared connections to a broker, which carry short requests.
    Pool {
        /// The broker.
        node: NodeId,
        /// The broker's address.
        address: &'a Address,
        /// Number of connections.
        size: usize,
        /// Number of connections without a request in flight.
        idle: usize,
        /// Number of callers that wait for a connection.
        waiting: usize,
    },
}

/// The step that a delivered record waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordState<'a> {
    /// A lane must take the record.
    Queued {
        /// Number of lanes of the partition that work on other records.
        busy: usize,
    },
    /// A layer of the record's route must become ready.
    NotReady {
        /// The route.
        route: &'a str,
    },
    /// The handler must finish, or a layer that waits within the attempt.
    InHandler {
        /// The route.
        route: &'a str,
    },
    /// The hold must end. A layer or the handler answered with
    /// [`Outcome::Hold`](crate::Outcome::Hold).
    Held {
        /// The route.
        route: &'a str,
        /// Time until the hold ends.
        left: Duration,
    },
    /// The next attempt must begin, after one that failed.
    Retrying {
        /// The route.
        route: &'a str,
    },
}

/// The step that a partition waits for while it has no delivered records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextStep {
    /// The position must be looked up.
    Position,
    /// Records must be fetched.
    Fetch,
    /// A lane must take the fetched records.
    Lane,
    /// The program must ask for the fetched records.
    Program,
}

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerPhase {
    /// Records pass.
    Closed,
    /// A few records pass, to find out if the dependency is back.
    HalfOpen,
    /// Records wait.
    Open,
}

impl BreakerPhase {
    /// Returns the state as one word, for labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// A source of figures: a producer, a consumer, or a cluster with its clients.
pub trait Gauges: Send + Sync {
    /// Passes each figure to `sink`, with its value now.
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>));

    /// Returns true if the source is gone and need not be read again. The default is never.
    fn is_gone(&self) -> bool {
        false
    }
}

impl fmt::Debug for dyn Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}
