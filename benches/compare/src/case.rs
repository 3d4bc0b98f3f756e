//! The case of a measurement, which is a client, its settings, a target and a load.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A client with one of its interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    Milena,
    /// Records are enqueued in runs, like in librdkafka's batch call. For producing at the maximum.
    MilenaBatch,
    /// Called from a plain thread, like the blocking clients. For producing at a rate.
    MilenaThread,
    LibrdkafkaC,
    RdkafkaBase,
    RdkafkaFuture,
    RdkafkaStream,
    ConfluentKafka,
    Krafka,
    Rskafka,
}

/// The settings of a client. Acks, idempotence and codec are the same in all but `Plain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Settings {
    /// The defaults of its makers, with the guarantees of the others.
    Default,
    /// The best settings that we found for this load.
    Tuned,
    /// Tuned, and without idempotence. A weaker guarantee.
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// The way in which records are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Many with each call, by the client's fastest interface.
    Batch,
    /// One by one, each with its own value.
    Stream,
    /// Each in an asynchronous function, in a group that commits the processed records.
    Handler,
}

/// The task of one worker process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    Produce(Job),
    Consume(ConsumeJob),
    /// Fill a topic, or write to it at a rate, for others to read.
    Feed(FeedJob),
}

/// The task of one consumer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ConsumeJob {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) mode: Mode,
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) partitions: u32,
    /// Members of one group that share the partitions. With 1 there is no group.
    pub(crate) members: usize,
    /// The number of records in the log. `None` if they never end.
    pub(crate) records: Option<u64>,
    /// The rule that tells when a record was written.
    pub(crate) clock: Due,
    /// Bytes of batches per record, as the log holds them.
    pub(crate) stored: f64,
    pub(crate) seconds: f64,
    pub(crate) cores: Vec<usize>,
}

/// The rule that tells when a record was written, for the time from end to end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Due {
    /// The time is not measured.
    Never,
    /// The stub writes by the clock. It writes batch `n` of the topic, with `batch` records, at
    /// `origin + n * tick`, in nanoseconds.
    ByOffset { origin: u64, tick: u64, batch: u64 },
    /// The first eight bytes of the value hold the time.
    InValue,
}

/// The task of a feeder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FeedJob {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) size: usize,
    pub(crate) codec: Codec,
    pub(crate) batch_size: Option<usize>,
    /// The number of records at once, or per second until the process is killed.
    pub(crate) amount: Amount,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Amount {
    Records(u64),
    PerSecond(u64),
}

/// The task of one producer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) partitions: u32,
    /// Bytes of a value.
    pub(crate) size: usize,
    pub(crate) codec: Codec,
    pub(crate) keys: bool,
    pub(crate) batch_size: Option<usize>,
    /// Records per second to offer. `None` for as many as possible.
    pub(crate) rate: Option<u64>,
    pub(crate) seconds: f64,
    /// The cores of the process. Empty to let the system choose.
    pub(crate) cores: Vec<usize>,
}

/// The results of one worker process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// The records acknowledged while measuring.
    pub(crate) records: u64,
    /// The time from the first record to the last acknowledgement.
    pub(crate) seconds: f64,
    /// User and system time of the process in that time.
    pub(crate) cpu_seconds: f64,
    /// The most memory that the process ever held.
    pub(crate) rss_mib: f64,
    /// The times from send to acknowledgement, for the sampled records.
    pub(crate) latencies_ms: Vec<f64>,
    /// The bytes that the process received through its connections, per byte of the batches that it
    /// delivered.
    pub(crate) read_amplification: Option<f64>,
    /// Every setting that differs from the client's defaults.
    pub(crate) set: String,
}

impl Client {
    /// Returns true if this is the name of a producer's interface.
    pub(crate) fn produces(self) -> bool {
        self != Self::RdkafkaStream
    }

    /// Returns the ways in which this client receives records. None for a producer's interface.
    pub(crate) fn modes(self) -> &'static [Mode] {
        match self {
            Self::Milena => &[Mode::Batch, Mode::Stream, Mode::Handler],
            Self::LibrdkafkaC | Self::ConfluentKafka | Self::Krafka | Self::Rskafka => {
                &[Mode::Batch]
            }
            Self::RdkafkaBase => &[Mode::Stream],
            Self::RdkafkaStream => &[Mode::Stream, Mode::Handler],
            Self::MilenaBatch | Self::MilenaThread | Self::RdkafkaFuture => &[],
        }
    }

    /// Returns the name on the command line and in results.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Settings {
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Mode {
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Codec {
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Job {
    #[cfg_attr(
        not(feature = "peers"),
        expect(dead_code, reason = "the other clients ask")
    )]
    pub(crate) fn idempotent(&self) -> bool {
        self.settings != Settings::Plain
    }

    pub(crate) fn tuned(&self) -> bool {
        self.settings != Settings::Default
    }
}

impl ConsumeJob {
    #[cfg_attr(
        not(feature = "peers"),
        expect(dead_code, reason = "the other clients ask")
    )]
    pub(crate) fn tuned(&self) -> bool {
        self.settings != Settings::Default
    }
}
