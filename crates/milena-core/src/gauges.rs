//! Gauges: figures that are asked for when someone looks, not told as they change.

use std::fmt;
use std::time::Duration;

use crate::{Address, Error, NodeId, Offset, TopicPartition};

/// A figure as it stands now.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Gauge<'a> {
    /// How many records the committed offset is behind the end of the log.
    Lag {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Records.
        records: u64,
    },
    /// How long ago the record was written that is being read where a partition lags behind; zero where it does not.
    LagTime {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The record's age, to the batch.
        age: Duration,
    },
    /// How far a partition is settled: the offset that may be committed.
    Settled {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// One past the last settled record.
        offset: Offset,
    },
    /// Whether a consumer is a member of its group.
    Member {
        /// The group.
        group: &'a str,
        /// The generation or member epoch; `None` while it is no member.
        generation: Option<i32>,
        /// Whether it has been a member at any time since it was started.
        joined: bool,
        /// How long it has been a member, or has not been one.
        age: Duration,
    },
    /// How many delivered records of a partition are not settled.
    LaneDepth {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Records.
        records: u64,
    },
    /// How much of a buffer is in use.
    BufferUsed {
        /// Which buffer: `producer` or `consumer`.
        buffer: &'a str,
        /// Bytes in use.
        used: u64,
        /// Bytes there are.
        limit: u64,
        /// How long callers have waited for room without a break; `None` while none does.
        waited: Option<Duration>,
    },
    /// The oldest delivered record that is not settled, and what it waits for.
    OldestUnsettled {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// The record's offset.
        offset: Offset,
        /// How long ago it was delivered, or how long ago its hold began or ended, where it was held.
        age: Duration,
        /// What it waits for.
        state: RecordState<'a>,
    },
    /// A partition of which no delivered record is unsettled, and which is not known to be read to its end.
    Undelivered {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// How long nothing of it has been delivered or settled.
        age: Duration,
        /// What has to come next.
        next: NextStep,
    },
    /// A partition that cannot be fetched, or whose position cannot be looked up.
    FetchTrouble {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// How long ago the first failure in a row was.
        age: Duration,
        /// Why the latest attempt failed.
        error: &'a Error,
    },
    /// Who holds a partition paused.
    Paused {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// A gate's name.
        by: &'a str,
    },
    /// A gate of a consumer's routes.
    Gate {
        /// The group; empty without one.
        group: &'a str,
        /// Its name, such as `breaker:payments` or `dead-letter:orders.dead`.
        name: &'a str,
        /// Why it is closed; `None` while it is open.
        closed: Option<&'a str>,
    },
    /// A circuit breaker.
    Breaker {
        /// The dependency.
        name: &'a str,
        /// What it does.
        state: BreakerPhase,
    },
    /// The connections for short requests to a broker.
    Pool {
        /// The broker.
        node: NodeId,
        /// Where it is.
        address: &'a Address,
        /// How many there are.
        size: usize,
        /// How many of them are free.
        idle: usize,
        /// How many callers wait for one.
        waiting: usize,
    },
}

/// What a delivered record waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordState<'a> {
    /// A lane: none works on it.
    Queued {
        /// How many lanes of the partition work on other records.
        busy: usize,
    },
    /// A layer of its route, which is not ready.
    NotReady {
        /// The route.
        route: &'a str,
    },
    /// Its handler, or a layer around it that waits within the attempt.
    InHandler {
        /// The route.
        route: &'a str,
    },
    /// Its time: a layer or the handler answered with [`Outcome::Hold`](crate::Outcome::Hold).
    Held {
        /// The route.
        route: &'a str,
        /// How long it is held from now on.
        left: Duration,
    },
    /// Its next attempt, after one that failed.
    Retrying {
        /// The route.
        route: &'a str,
    },
}

/// What a partition waits for while nothing of it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NextStep {
    /// Its position is looked up.
    Position,
    /// Its records are fetched.
    Fetch,
    /// A lane takes the records that were fetched.
    Lane,
    /// The program asks for the records that were fetched.
    Program,
}

/// What a circuit breaker does with records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerPhase {
    /// They pass.
    Closed,
    /// A few pass, to see whether the dependency is back.
    HalfOpen,
    /// They wait.
    Open,
}

impl BreakerPhase {
    /// One word, for labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Something with figures to show: a producer, a consumer, a cluster with all who share it.
pub trait Gauges: Send + Sync {
    /// Shows each figure to `sink`, as it stands now.
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>));

    /// Whether what they are of is gone, so that nobody needs to look again. Default never.
    fn is_gone(&self) -> bool {
        false
    }
}

impl fmt::Debug for dyn Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}
