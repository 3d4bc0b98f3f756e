//! milena: a pure-Rust Kafka client framework with a tower middleware stack around the handler.
//!
//! Start with [`Client::builder`]; everything else hangs on the client: [`producers`](producer), [`consumers`](consumer) and the
//! [`admin`]istrator share its connections.
//!
//! ```
//! # #[cfg(feature = "broker")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> milena::Result<()> {
//! use milena::admin::NewTopic;
//! use milena::{Client, ProducerRecord};
//!
//! let broker = milena::broker::Broker::builder().start().await?; // or a Kafka of your own
//! let client = Client::builder().bootstrap(broker.bootstrap()).connector(broker.dialer()).connect().await?;
//! client.admin().create_topics([NewTopic::new("orders").partitions(4)]).await?.all()?;
//!
//! let producer = client.producer().build()?;
//! let sent = producer.send(ProducerRecord::new("orders").key("order-7").value("two stamps")).await?;
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
//! | `zstd` | yes | zstd compression; needs a C compiler |
//! | `json` | yes | `JsonCodec`, the extractor `Json` and `record.json(&value)`, by `serde_json` |
//! | `xml` | no | `XmlCodec`, the extractor `Xml` and `record.xml(&value)`, by `quick-xml` |
//! | `uuid` | no | `UuidCodec`, by `uuid` |
//! | `health` | no | [`health`](mod@health): health judged from progress, and an HTTP page for it, by `axum` |
//! | `metrics` | no | [`metrics`](mod@metrics): Prometheus metrics of all that a client does |
//! | `tracing` | no | [`trace`](mod@trace): W3C trace context in headers, and spans by OpenTelemetry's conventions |
//! | `otlp` | no | export of those spans by OTLP over HTTP; implies `tracing` |
//! | `yaml`, `toml` | yes | configuration files in these forms |
//! | `broker` | no | [`broker`]: Kafka in this process, for demos and tests |
//! | `test` | no | [`test`](mod@test): client and broker in one process, with the clock paused; implies `broker` |

pub use milena_client::admin::Admin;
pub use milena_client::consumer::{
    AssignedConsumer, BatchStream, Consumer, CorruptPolicy, FetchBatch, IsolationLevel, Lag,
    LaneStopPolicy, OffsetAndMetadata, OffsetAndTimestamp, OffsetReset, Order, PendingCommit,
    RecordStream, Recv, RunEnd, RunReport, ShutdownHandle, StartAt, StuckPolicy, Watermarks,
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
    TypedProducer, TypedTopic, shutdown_signal,
};

/// Administration: topics, each verb with a result per item.
pub mod admin {
    pub use milena_client::admin::*;
}

/// Consumers, in a group and without one, and what `run` takes.
pub mod consumer {
    pub use milena_client::consumer::*;
}

/// Settings from files, from the environment, and by the names of other clients.
pub mod config {
    pub use milena_client::config::*;
}

/// Producers, deliveries and partitioners.
pub mod producer {
    pub use milena_client::producer::*;
}

/// Dead letters: looked through, written out, and sent back to be processed again.
pub mod dead_letters {
    pub use milena_client::dead_letters::*;
}

/// Layers around a handler, and the stack that orders them.
pub mod middleware {
    pub use milena_client::middleware::*;
}

/// Health, judged from progress, and an HTTP page for it.
#[cfg(feature = "health")]
pub mod health {
    pub use milena_client::health::*;
}

/// Prometheus metrics of all that a client does.
#[cfg(feature = "metrics")]
pub mod metrics {
    pub use milena_client::metrics::*;
}

/// Traces through Kafka: context in headers, spans, and their export.
#[cfg(feature = "tracing")]
pub mod trace {
    pub use milena_client::trace::*;
}

/// User types to bytes and back.
pub mod serializer {
    pub use milena_client::serializer::*;
}

/// Connections to a cluster: how streams are dialed, the picture of the cluster, short requests.
pub mod pool {
    pub use milena_client::pool::*;
}

/// The words that all of milena shares, in full.
pub mod core {
    pub use milena_client::core::*;
}

/// Kafka in this process, over TCP or in memory, for demos and tests.
#[cfg(feature = "broker")]
pub mod broker {
    pub use milena_broker::*;
}

/// The test kit: handlers without a broker, and client and broker in one process with the clock paused.
#[cfg(feature = "test")]
pub mod test {
    pub use milena_test::*;
}

/// What most programs use.
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

/// The programs of README and QUICKSTART, which run as they stand there.
#[cfg(all(doctest, feature = "json", feature = "test"))]
mod documents {
    #[doc = include_str!("../../../README.md")]
    struct Readme;

    #[doc = include_str!("../../../QUICKSTART.md")]
    struct Quickstart;
}
