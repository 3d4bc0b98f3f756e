//! milena is a pure-Rust Kafka client framework with a tower middleware stack around the handler.
//!
//! Start with [`Client::builder`]. [Producers](producer), [consumers](consumer) and the
//! [`admin`]istrator are made from the client and share its connections. [`config`] lists every
//! setting and explains how to set it in files and the environment. [`middleware`] lists the layers
//! around a handler. [`dead_letters`] reads dead letters and sends them back.
//!
//! ```
//! # #[cfg(feature = "broker")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> milena::Result<()> {
//! use milena::admin::NewTopic;
//! use milena::{Client, ProducerRecord};
//!
//! let broker = milena::broker::Broker::builder().start().await?; // or a Kafka of your own
//! let client = Client::builder()
//!     .bootstrap(broker.bootstrap())
//!     .connector(broker.dialer())
//!     .connect()
//!     .await?;
//! client.admin().create_topics([NewTopic::new("orders").partitions(4)]).await?.all()?;
//!
//! let producer = client.producer().build()?;
//! let order = ProducerRecord::new("orders").key("order-7").value("two stamps");
//! let sent = producer.send(order).await?;
//! assert_eq!(sent.offset.map(|offset| offset.to_wire()), Some(0));
//! # client.close().await;
//! # broker.shutdown().await;
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "broker"))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! | Feature | Default | What it adds |
//! |---|---|---|
//! | `zstd` | yes | zstd compression, needs a C compiler |
//! | `json` | yes | `JsonCodec`, the extractor `Json` and `record.json(&value)`, by `serde_json` |
//! | `xml` | no | `XmlCodec`, the extractor `Xml` and `record.xml(&value)`, by `quick-xml` |
//! | `uuid` | no | `UuidCodec`, by `uuid` |
//! | `health` | no | `health`, checks of a client's progress and their HTTP page, by `axum` |
//! | `metrics` | no | `metrics`, Prometheus metrics of everything that a client does |
//! | `tracing` | no | `trace`, W3C trace context in headers, and OpenTelemetry spans |
//! | `otlp` | no | export of those spans by OTLP over HTTP, implies `tracing` |
//! | `yaml`, `toml` | yes | configuration files in these formats |
//! | `broker` | no | `broker`, Kafka in this process, for demos and tests |
//! | `test` | no | `test`, client and broker in one process with a paused clock, implies `broker` |

pub use milena_client::admin::Admin;
pub use milena_client::consumer::{
    AssignedConsumer, BatchStream, Consumer, CorruptPolicy, FetchBatch, IsolationLevel, Lag,
    LaneStopPolicy, OffsetAndMetadata, OffsetAndTimestamp, OffsetReset, Order, PendingCommit,
    RecordStream, Recv, RunEnd, RunReport, RunningConsumer, ShutdownHandle, StartAt, StuckPolicy,
    Watermarks,
};
pub use milena_client::core::{
    Address, Attempt, Backoff, BoxError, CancelToken, Classified, Classify, ConsumerRecord,
    Emitter, Error, ErrorClass, ErrorCode, ErrorKind, ErrorMap, Event, Extension, Extensions,
    FromBytes, FromRecord, FromRef, Gate, Gauge, Gauges, GroupMetadata, Handler, Header,
    HeaderName, Headers, Incoming, IntoOutcome, Key, LeaderEpoch, NodeId, Observer, Observers,
    Offset, Outcome, Parsed, Partition, Persistence, ProcessError, ProducerRecord, Reason, Record,
    RecordHeader, RecordMetadata, RecordRef, Recorder, Result, RouteInfo, Routes, State, Stopping,
    Text, Timestamp, TimestampType, Topic, TopicName, TopicPartition, TopicPattern, Value,
    WallClock, WriteName, WriteTarget,
};
pub use milena_client::producer::{Acks, Compression, Delivery, Producer, TryEnqueueError};
#[cfg(feature = "json")]
pub use milena_client::serializer::{Json, JsonCodec, JsonExt};
#[cfg(feature = "xml")]
pub use milena_client::serializer::{Xml, XmlCodec, XmlExt};
pub use milena_client::{
    Client, ClientBuilder, ConsumerBuilderExt, LayeredConsumer, ProducerBuilderExt, TypedConsumer,
    TypedProducer, TypedTopic, next_signal, shutdown_signal,
};

// These modules are re-exported whole, so that their own pages with the settings, the checks of
// health and the layers are part of this documentation.
#[doc(inline)]
pub use milena_client::{
    admin, config, consumer, core, dead_letters, lanes, middleware, pool, producer, serializer,
};

#[cfg(feature = "health")]
#[doc(inline)]
pub use milena_client::health;

#[cfg(feature = "metrics")]
#[doc(inline)]
pub use milena_client::metrics;

#[cfg(feature = "tracing")]
#[doc(inline)]
pub use milena_client::trace;

#[cfg(feature = "broker")]
#[doc(inline)]
pub use milena_broker as broker;

#[cfg(feature = "test")]
#[doc(inline)]
pub use milena_test as test;

/// The types and traits that most programs use.
///
/// ```
/// use milena::prelude::*;
/// ```
pub mod prelude {
    pub use crate::{
        Attempt, Backoff, Client, Consumer, ConsumerBuilderExt, ConsumerRecord, Emitter, Error,
        ErrorKind, Header, HeaderName, Key, Order, Outcome, ProcessError, Producer,
        ProducerBuilderExt, ProducerRecord, State, Stopping, Text, TopicPartition, Value,
    };
    #[cfg(feature = "json")]
    pub use crate::{Json, JsonExt};
}

/// The programs of README, QUICKSTART and the pages, run as they are written there.
#[cfg(all(doctest, feature = "json", feature = "test"))]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../QUICKSTART.md")]
    struct Quickstart;

    #[doc = include_str!("../../../docs/cookbook.md")]
    struct Cookbook;

    #[doc = include_str!("../../../docs/errors.md")]
    struct Errors;
}
