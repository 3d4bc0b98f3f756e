//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Flags, Parser, Subcommand, ValueEnum};
use milena_core::parse_duration;

use crate::case::{Client, Codec, Mode, Settings};

/// Compares Kafka clients on the same target.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Compare producing.
    Produce(Box<ProduceFlags>),
    /// Compare consuming.
    Consume(Box<ConsumeFlags>),
    /// Draw charts from the JSON of earlier runs.
    Chart(ChartFlags),
    /// One client, one measurement. Started by the other commands.
    #[command(hide = true)]
    Worker { task: String },
    /// A broker that acknowledges and stores nothing. Started by the other commands.
    #[command(hide = true)]
    Stub(StubFlags),
    /// The embedded broker over TCP. Started by the other commands.
    #[command(hide = true)]
    Embedded(EmbeddedFlags),
}

/// The flags that producing and consuming share.
#[derive(Flags, Clone)]
pub(crate) struct CommonFlags {
    /// `stub`, `embedded`, or the host:port of a Kafka.
    #[arg(long, default_value = "stub")]
    pub(crate) target: String,
    /// Bytes of a record's value.
    #[arg(long, value_delimiter = ',', default_value = "100")]
    pub(crate) size: Vec<usize>,
    /// Number of rounds. Clients take turns within a round.
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// The clients to compare. Default all.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) clients: Vec<Client>,
    /// The settings of the peers. milena always runs with its defaults.
    #[arg(
        long,
        value_delimiter = ',',
        value_enum,
        default_value = "default,tuned"
    )]
    pub(crate) settings: Vec<Settings>,
    /// Compression.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "none")]
    pub(crate) codec: Vec<Codec>,
    /// Partitions of the topic.
    #[arg(long, value_delimiter = ',', default_value = "4")]
    pub(crate) partitions: Vec<u32>,
    /// Delay each answer of the stub by this much.
    #[arg(long, value_parser = duration, default_value = "0ms")]
    pub(crate) rtt: Duration,
    /// Seconds of one measurement.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Let the system place target and clients. By default they get disjoint cores.
    #[arg(long)]
    pub(crate) no_pin: bool,
    /// Write the results to this JSON file.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Draw the results to this SVG file.
    #[arg(long)]
    pub(crate) svg: Option<PathBuf>,
}

impl CommonFlags {
    /// Returns the clients to compare. All clients if the user named none.
    pub(crate) fn clients(&self) -> &[Client] {
        match self.clients.as_slice() {
            [] => Client::value_variants(),
            some => some,
        }
    }

    /// Returns the settings of a client. milena runs with its defaults, and every peer with each of
    /// the chosen settings.
    pub(crate) fn forms(&self, client: Client) -> &[Settings] {
        match client {
            Client::Milena | Client::MilenaBatch | Client::MilenaThread => &[Settings::Default],
            _ => self.settings.as_slice(),
        }
    }

    /// Returns the last core for the target, if we start the target and there are enough cores.
    pub(crate) fn target_core(&self) -> Option<usize> {
        let ours = ["stub", "embedded"].contains(&self.target.as_str());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (ours && !self.no_pin && cores > 2).then_some(cores - 1)
    }

    pub(crate) fn client_cores(&self) -> Vec<usize> {
        self.target_core()
            .map(|core| (0..core).collect())
            .unwrap_or_default()
    }
}

/// The flags of a produce comparison. Lists are separated by commas, and every combination is run.
#[derive(Flags, Clone)]
pub(crate) struct ProduceFlags {
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    /// Give every record a key of 16 bytes, placed by murmur2.
    #[arg(long)]
    pub(crate) keys: bool,
    /// The most bytes of a batch, the same for all clients. By default each client uses its own.
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    /// The stub answers a connection's requests one at a time, as Kafka does.
    #[arg(long)]
    pub(crate) serial: bool,
    /// Offer this many records per second and measure latency. By default the maximum is measured,
    /// and then the latency at shares of it.
    #[arg(long, value_delimiter = ',')]
    pub(crate) rate: Vec<u64>,
    /// Measure only the maximum, not the latency at shares of it.
    #[arg(long)]
    pub(crate) max_only: bool,
}

/// The flags of a consume comparison. Lists are separated by commas, and every combination is run.
#[derive(Flags, Clone)]
pub(crate) struct ConsumeFlags {
    #[command(flatten)]
    pub(crate) common: CommonFlags,
    /// The ways in which records are received. By default every way that a client has.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) mode: Vec<Mode>,
    /// Members of one group in the same process, which share the partitions. By default one
    /// consumer without a group.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    pub(crate) members: Vec<usize>,
    /// Bytes of uncompressed records in a batch of the log.
    #[arg(long, default_value_t = 65_536)]
    pub(crate) batch_size: usize,
    /// Records in the log of a target that stores. By default half a gigabyte of them.
    #[arg(long)]
    pub(crate) records: Option<u64>,
    /// Write this many records per second and measure the time from end to end. By default records
    /// are read as fast as possible.
    #[arg(long, value_delimiter = ',')]
    pub(crate) rate: Vec<u64>,
}

#[derive(Flags)]
pub(crate) struct ChartFlags {
    /// The JSON files of earlier runs.
    #[arg(required = true)]
    pub(crate) json: Vec<PathBuf>,
    /// The SVG file to draw.
    #[arg(long)]
    pub(crate) svg: PathBuf,
}

#[derive(Flags)]
pub(crate) struct StubFlags {
    #[arg(long)]
    pub(crate) partitions: u32,
    #[arg(long, value_parser = duration)]
    pub(crate) rtt: Duration,
    #[arg(long)]
    pub(crate) serial: bool,
    /// Bytes of a value that is served.
    #[arg(long, default_value_t = 100)]
    pub(crate) size: usize,
    /// Bytes of uncompressed records in a batch that is served.
    #[arg(long, default_value_t = 65_536)]
    pub(crate) batch_size: usize,
    /// Compression of the batches that are served.
    #[arg(long, value_enum, default_value = "none")]
    pub(crate) codec: Codec,
    /// Records per second that become readable. By default their number has no end.
    #[arg(long)]
    pub(crate) rate: Option<u64>,
    /// The core of this process.
    #[arg(long)]
    pub(crate) core: Option<usize>,
}

#[derive(Flags)]
pub(crate) struct EmbeddedFlags {
    /// The core of this process.
    #[arg(long)]
    pub(crate) core: Option<usize>,
}

/// Reads `2ms`, `250us` or `1s`.
fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no time such as 2ms, 250us or 1s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!(duration("2ms"), Ok(Duration::from_millis(2)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert!(duration("2").is_err());
    }
}
