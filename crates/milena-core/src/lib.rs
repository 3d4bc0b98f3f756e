//! Types that all crates of milena share.
//!
//! - [`ProducerRecord`], [`ConsumerRecord`] and [`RecordRef`] are records.
//! - [`TopicPartition`], [`Offset`] and [`Address`] are places.
//! - [`Error`], [`ProcessError`] and [`ErrorClass`] describe failures.
//! - [`Handler`] is called with [`Incoming`] records, whose parts [`FromRecord`] extracts as
//!   arguments, and returns an [`Outcome`].
//! - [`Gate`] lets a layer stop the records of its route.
//! - [`Capabilities`] tell what a source of records can do, and [`Needs`] what a run asks of it.
//! - [`Compression`], [`Acks`], [`OffsetReset`] and others are the words of settings.
//! - [`Observer`], [`Recorder`] and [`Gauges`] let others observe a client.
//!
//! Nothing here opens a socket, starts a task or depends on tower.

mod address;
mod backoff;
mod batch_lane;
mod batch_outcome;
mod batch_party;
mod batch_scope;
mod cancel;
mod capabilities;
mod code;
mod emitter;
mod error;
mod error_map;
mod event;
mod extensions;
mod extract;
mod gate;
mod gauges;
mod group;
mod handler;
mod header_list;
mod header_view;
mod ids;
mod incoming;
mod observer;
mod outcome;
mod placeholder;
mod process_error;
mod record;
mod recorder;
mod routes;
mod shared_record;
mod timestamp;
mod topic;
mod topic_pattern;
mod wakers;
mod wall_clock;
mod words;

pub use address::Address;
pub use backoff::Backoff;
pub use batch_lane::BatchLane;
pub use batch_outcome::{BatchError, BatchOutcome, IntoBatchOutcome};
pub use batch_party::{BatchParty, BatchSeat};
pub use batch_scope::{BatchAnswers, BatchScope, BatchWrap};
pub use cancel::{CancelToken, Cancelled};
pub use capabilities::{Capabilities, Capability, Needs};
pub use code::ErrorCode;
pub use emitter::Emitter;
pub use error::{Error, ErrorKind, Persistence, Place, Result};
pub use error_map::ErrorMap;
pub use event::{ConsumerEnd, Event, RebalancePhase};
pub use extensions::Extensions;
pub use extract::{
    Attempt, Extension, FromBytes, FromRecord, FromRef, Header, HeaderName, Key, Parsed, State,
    Stopping, Text, Topic, Value,
};
pub use gate::{Gate, GateState, GateWatch};
pub use gauges::{BreakerPhase, Gauge, Gauges, NextStep, RecordState};
pub use group::GroupMetadata;
pub use handler::{Handler, IntoOutcome};
pub use header_list::{Headers, RecordHeader};
pub use header_view::{HeaderIter, HeaderRef, HeadersRef};
pub use ids::{LeaderEpoch, NodeId, Offset, Partition, ProducerEpoch, ProducerId, Sequence};
pub use incoming::Incoming;
pub use observer::{Observer, Observers, panic_text};
pub use outcome::{Outcome, Reason};
pub use placeholder::placeholder;
pub use process_error::{BoxError, Classified, Classify, ErrorClass, ProcessError};
pub use record::{ConsumerRecord, ProducerRecord, Record, RecordMetadata, RecordRef};
pub use recorder::{Recorder, Recording, RouteLabels, RouteRecorder};
pub use routes::{BatchSize, RouteInfo, Routes, WriteName, WriteTarget};
pub use shared_record::SharedRecord;
pub use timestamp::{Timestamp, TimestampType};
pub use topic::{TopicName, TopicPartition};
pub use topic_pattern::TopicPattern;
pub use wall_clock::WallClock;
pub use words::{
    Acks, AssignorName, Codec, Compression, CorruptPolicy, GroupMembershipOperation, GroupProtocol,
    IsolationLevel, LaneStopPolicy, OffsetReset, Order, PartitionerName, StuckPolicy,
    parse_duration,
};
