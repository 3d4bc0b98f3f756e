//! milena: a pure-Rust Kafka client framework with a tower middleware stack around the handler.
//!
//! Start with [`Client::builder`]; everything else is made from the client: [`producers`](producer), [`consumers`](consumer) and the
//! [`admin`]istrator share its connections. [`config`] lists every setting and says how files and the environment give them;
//! [`middleware`] lists the layers around a handler; [`dead_letters`] says how letters are looked through and sent back.
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
//! | `health` | no | `health`: health judged from progress, and an HTTP page for it, by `axum` |
//! | `metrics` | no | `metrics`: Prometheus metrics of all that a client does |
//! | `tracing` | no | `trace`: W3C trace context in headers, and spans by OpenTelemetry's conventions |
//! | `otlp` | no | export of those spans by OTLP over HTTP; implies `tracing` |
//! | `yaml`, `toml` | yes | configuration files in these forms |
//! | `broker` | no | `broker`: Kafka in this process, for demos and tests |
//! | `test` | no | `test`: client and broker in one process, with the clock paused; implies `broker` |

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

// Re-exported as they are, so that their own pages are found here: the table of settings, the checks of health, the layers.
#[doc(inline)]
pub use milena_client::{
    admin, config, consumer, core, dead_letters, middleware, pool, producer, serializer,
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
