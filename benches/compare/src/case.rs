//! What is measured: a client, its settings, a target, a load.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A client, and which of its interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    Milena,
    /// Records enqueued by the run, as librdkafka's batch call takes them; for producing at the maximum.
    MilenaBatch,
    /// Called from a plain thread, as the blocking clients are; for producing at a rate.
    MilenaThread,
    LibrdkafkaC,
    RdkafkaBase,
    RdkafkaFuture,
    RdkafkaStream,
    ConfluentKafka,
    Krafka,
    Rskafka,
}

/// How a client is set up. Acks, idempotence and codec are the same in all but `Plain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Settings {
    /// As its makers ship it, with the guarantees of the others.
    Default,
    /// As well as we could do for this load.
    Tuned,
    /// Tuned, and without idempotence: a weaker guarantee.
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

/// How records are taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Many with each call, by the client's fastest interface.
    Batch,
    /// One by one, each its own value.
    Stream,
    /// Each through an asynchronous function, in a group that commits what was processed.
    Handler,
}

/// What one worker process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Task {
    Produce(Job),
    Consume(ConsumeJob),
    /// Fill a topic, or feed it at a rate, for others to read.
    Feed(FeedJob),
}

/// What one consumer is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ConsumeJob {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) mode: Mode,
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) partitions: u32,
    /// Members of one group that share the partitions; one, and no group, where none are asked for.
    pub(crate) members: usize,
    /// So many records are there; `None` where they never end.
    pub(crate) records: Option<u64>,
    pub(crate) clock: Due,
    /// Bytes of batches per record, as the log holds them.
    pub(crate) stored: f64,
    pub(crate) seconds: f64,
    pub(crate) cores: Vec<usize>,
}

/// When a record was written, for the time from end to end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Due {
    /// Nobody asks.
    Never,
    /// The stub writes by the clock: batch `n` of the topic, `batch` records, at `origin + n * tick`, in nanoseconds.
    ByOffset { origin: u64, tick: u64, batch: u64 },
    /// The first eight bytes of the value tell.
    InValue,
}

/// What a feeder is to write.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FeedJob {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    pub(crate) size: usize,
    pub(crate) codec: Codec,
    pub(crate) batch_size: Option<usize>,
    /// So many at once, or so many a second until it is killed.
    pub(crate) amount: Amount,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Amount {
    Records(u64),
    PerSecond(u64),
}

/// What one producer is to do.
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
    /// Records a second to offer; `None` for as many as go.
    pub(crate) rate: Option<u64>,
    pub(crate) seconds: f64,
    /// The cores to stay on; none to let the system choose.
    pub(crate) cores: Vec<usize>,
}

/// What one worker process measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Records acknowledged while measuring.
    pub(crate) records: u64,
    /// From the first record to the last acknowledgement.
    pub(crate) seconds: f64,
    /// User and system time of the process in that span.
    pub(crate) cpu_seconds: f64,
    /// The most memory the process ever held.
    pub(crate) rss_mib: f64,
    /// From send to acknowledgement, for the sampled records.
    pub(crate) latencies_ms: Vec<f64>,
    /// Bytes that came in through the process's connections, per byte of the batches that it delivered.
    pub(crate) read_amplification: Option<f64>,
    /// Every setting that differs from the client's defaults.
    pub(crate) set: String,
}

impl Client {
    /// Whether this is the name of a producer's interface.
    pub(crate) fn produces(self) -> bool {
        self != Self::RdkafkaStream
    }

    /// The ways in which this client takes records in; none for a producer's interface.
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

    /// The name on the command line and in results.
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
