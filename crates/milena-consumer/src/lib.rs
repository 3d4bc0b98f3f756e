//! The way in: membership, fetching, lanes, handlers, and the driver that settles offsets.
//!
//! A [`Consumer`] is a member of a group; an [`AssignedConsumer`] reads the partitions it is told. Either processes records with a
//! handler ([`Consumer::run`]) or gives them out ([`Consumer::recv`], [`Consumer::recv_batch`]).
//!
//! A record's way: assignment, where to begin (`positions`), what to ask of which broker (`fetcher`, `session`), the partition's queue
//! (`partition`, `chunk`), its lane (`lane`, `worker`), the handler, what its answer means (`verdict`), the offset tracker (`offsets`)
//! and the commit (`commit`). Only the driver settles offsets, and only in the lane that delivered the record.
//!
//! A group's partitions are divided by its members ([`Assignor`], the classic protocol) or by the coordinator (KIP-848);
//! [`GroupProtocol`] says which. Either way a rebalance stops only the partitions that move (`group`), and a
//! [`RebalanceListener`] hears of them.

mod assigned;
mod assignor;
mod baseline;
mod batch;
mod budget;
mod builder;
mod chunk;
mod commit;
mod committed;
mod committing;
mod consumer;
mod core;
mod driven;
mod engine;
mod epochs;
mod fetcher;
mod gauges;
mod group;
mod handoff;
mod heartbeat;
mod into_routes;
mod keyed;
mod lag;
mod lane;
mod member;
mod offsets;
mod openers;
mod partition;
mod passing;
mod pauses;
mod positions;
mod query;
mod reader;
mod receiver;
mod recv;
mod run;
mod session;
mod settings;
mod shutdown_log;
mod source;
mod spawned;
mod standing;
mod start;
mod stream;
mod subscription;
mod supervise;
mod targets;
mod together;
mod touched;
mod truncation;
mod unpack;
mod unread;
mod verdict;
mod worker;

pub use assigned::AssignedConsumer;
pub use assignor::{
    Assignor, CooperativeStickyAssignor, GroupAssignment, GroupMember, GroupTopics, RangeAssignor,
    RebalanceProtocol, RoundRobinAssignor, StickyAssignor,
};
pub use batch::FetchBatch;
pub use builder::{AssignedConsumerBuilder, ConsumerBuilder};
pub use committing::{OffsetAndMetadata, PendingCommit};
pub use consumer::Consumer;
pub use group::{GroupMembershipOperation, GroupProtocol, RebalanceListener};
pub use into_routes::{AsHandler, AsRoutes, AsService, HandlerService, IntoRoutes, OneRoute};
pub use lag::Lag;
pub use milena_protocol::fetch::IsolationLevel;
pub use pauses::Pause;
pub use query::{OffsetAndTimestamp, Watermarks};
pub use recv::Recv;
pub use run::{Run, RunEnd, RunReport, RunUntil, ShutdownHandle};
pub use settings::{CorruptPolicy, LaneStopPolicy, OffsetReset, Order, StuckPolicy};
pub use spawned::RunningConsumer;
pub use start::StartAt;
pub use stream::{BatchStream, RecordStream};
