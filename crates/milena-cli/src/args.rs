//! The command line, with the options of every command and the list of commands.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use milena::core::parse_duration;

use crate::commands;
use crate::output::Format;

/// Manages a Kafka cluster, and reads and writes its records.
#[derive(Debug, Parser)]
#[command(name = "milena", version, max_term_width = 120, after_help = EXIT_CODES, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The brokers to connect to first, separated by commas.
    #[arg(
        short,
        long,
        global = true,
        env = "MILENA_BOOTSTRAP",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "localhost:9092"
    )]
    pub(crate) bootstrap: Vec<String>,
    /// The form of results. By default tables on a terminal, else plain lines.
    #[arg(short, long, global = true, value_enum)]
    pub(crate) output: Option<Format>,
    /// Answers yes to every question.
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
    /// The time that brokers may take, such as 30s or 500ms.
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// The client id that brokers see.
    #[arg(long, global = true, value_name = "ID", default_value = "milena-cli")]
    pub(crate) client_id: String,
    /// Prints more on stderr. Give it twice for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists, describes, creates, alters and deletes topics.
    #[command(subcommand)]
    Topics(commands::topics::TopicsVerb),
    /// Lists, describes and deletes groups.
    #[command(subcommand)]
    Groups(commands::groups::GroupsVerb),
    /// Shows, resets and deletes committed offsets of groups.
    #[command(subcommand)]
    Offsets(commands::offsets::OffsetsVerb),
    /// Shows and alters configs of topics, brokers and groups.
    #[command(subcommand)]
    Configs(commands::configs::ConfigsVerb),
    /// Shows brokers, controller and features.
    Cluster,
    /// Elects leaders.
    Elect(commands::elect::Elect),
    /// Shows how far groups are behind, in records and seconds.
    Lag(commands::lag::Lag),
    /// Checks the health of the cluster, or of a program that uses milena.
    Health(commands::health::Health),
    /// Writes records from standard input, one per line or by a format.
    Produce(commands::produce::Produce),
    /// Reads records to standard output, one per line or by a format.
    Consume(commands::consume::Consume),
    /// Measures producing or consuming.
    #[command(subcommand)]
    Perf(commands::perf::PerfVerb),
    /// Shows the partition of a key under every client's scheme.
    Partition(commands::partition::Partition),
    /// Searches dead letters, and sends them back.
    #[command(subcommand)]
    Dlq(commands::dlq::DlqVerb),
    /// Checks configuration files, and lists settings.
    #[command(subcommand)]
    Config(commands::config::ConfigVerb),
    /// Runs a Kafka broker in memory until it is interrupted.
    Broker(commands::broker::BrokerArgs),
    /// Prints completions for a shell.
    Completions(commands::completions::Completions),
    /// Takes the flags of sarama's console producer.
    SaramaProducer,
    /// Takes the flags of sarama's console consumer.
    SaramaConsumer,
}

/// Reads a time such as `500ms`, `1.5s`, `5m`, `2h` or `1d`, with the units of a setting. Without a
/// unit it is in seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = text.strip_suffix(unit).unwrap_or_default();
    let one = match unit {
        "" => Some(Duration::from_secs(1)),
        unit => parse_duration(&format!("1{unit}")),
    };
    let one = one.ok_or_else(|| format!("'{unit}' is not one of the units us, ms, s, m, h, d"))?;
    let number: f64 = number
        .parse()
        .map_err(|_| format!("'{text}' is not a time such as 30s"))?;
    let seconds = number * one.as_secs_f64();
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("'{text}' is too long"))
}

/// Reads `KEY=VALUE`.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = parts.ok_or_else(|| format!("'{text}' is not KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 used wrongly, 3 cluster not reached in time, 4 no such topic or group, 5 not possible
now (active members, not confirmed), 6 broker too old, 7 input or output failed, 8 a lag is unknown, 130 interrupted.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(duration("30").unwrap(), Duration::from_secs(30));
        assert_eq!(duration("2d").unwrap(), Duration::from_secs(172_800));
        assert!(duration("s").is_err() && duration("5w").is_err() && duration("-1").is_err());
    }
}
