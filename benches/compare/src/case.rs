//! What is measured: a client, its settings, a target, a load.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A client, and which of its interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Client {
    Milena,
    LibrdkafkaC,
    RdkafkaBase,
    RdkafkaFuture,
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

/// What one worker process is to do.
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
    /// Every setting that differs from the client's defaults.
    pub(crate) set: String,
}

impl Client {
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

impl Codec {
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

impl Job {
    pub(crate) fn idempotent(&self) -> bool {
        self.settings != Settings::Plain
    }

    pub(crate) fn tuned(&self) -> bool {
        self.settings != Settings::Default
    }
}
