//! Consumers of Kafka records, with group membership, fetching, lanes, handlers and commits.
//!
//! A [`Consumer`] is a member of a group. An [`AssignedConsumer`] reads the partitions that the
//! program assigns. Both process records with a handler ([`Consumer::run`]) or return them to the
//! program ([`Consumer::recv`], [`Consumer::recv_batch`]).
//!
//! A record passes through these modules, in this order:
//!
//! - `positions` finds the offset at which reading starts, once the partition is assigned
//! - `fetch` chooses what to ask which broker for
//! - `partition` queues the fetched batches, which `milena-fetch` opens
//! - `feed` hands their records to the lanes of `milena-lanes`, which call the handler
//! - `partition` tracks which offsets are done
//! - `commit` commits them
//!
//! Only the lane that delivered a record settles its offset.
//!
//! The partitions of a group are assigned by one of its members (classic protocol, [`Assignor`]) or
//! by the coordinator (KIP-848). [`GroupProtocol`] selects the protocol. With both, a rebalance
//! stops only the partitions that move (`group`). A [`RebalanceListener`] is called for each
//! change.

mod assigned;
mod assignment;
mod builder;
mod commit;
mod consumer;
mod coordinator;
mod core;
mod counts;
mod engine;
mod feed;
mod fetch;
mod gauges;
mod group;
mod lag;
mod lifecycle;
mod partition;
mod passing;
mod pausing;
mod positions;
mod reader;
mod receiver;
mod recv;
mod reports;
mod run;
mod settings;
mod shutdown_log;
mod spawned;
mod start;
mod stream;
mod supervise;
mod targets;
mod touched;
mod unread;
mod wakes;

pub use assigned::AssignedConsumer;
pub use builder::{AssignedConsumerBuilder, ConsumerBuilder};
pub use commit::later::PendingCommit;
pub use commit::offset_and_metadata::OffsetAndMetadata;
pub use consumer::Consumer;
pub use group::RebalanceListener;
pub use lag::Lag;
pub use milena_assignor::{
    Assignor, CooperativeStickyAssignor, GroupAssignment, GroupMember, GroupTopics, RangeAssignor,
    RebalanceProtocol, RoundRobinAssignor, StickyAssignor,
};
pub use milena_core::{
    CorruptPolicy, GroupMembershipOperation, GroupProtocol, IsolationLevel, LaneStopPolicy,
    OffsetReset, Order, StuckPolicy,
};
pub use milena_fetch::FetchBatch;
pub use milena_lanes::{
    AsHandler, AsRoutes, AsService, Driven, HandlerService, IntoRoutes, OneRoute, Pause, RunEnd,
    ShutdownHandle,
};
pub use positions::query::{OffsetAndTimestamp, Watermarks};
pub use recv::Recv;
pub use run::{Run, RunReport, RunUntil};
pub use spawned::RunningConsumer;
pub use start::StartAt;
pub use stream::{BatchStream, RecordStream};
