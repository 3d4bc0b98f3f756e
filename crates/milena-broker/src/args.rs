//! The program's arguments.

use std::time::Duration;

/// The text that `--help` prints.
pub(crate) const HELP: &str = "\
milena-broker: a Kafka broker in memory, for demos and tests

Usage: milena-broker [OPTIONS]

The first line on stdout is the bootstrap address (comma-separated with several brokers).
It runs until SIGINT or SIGTERM, and then all data is gone.

Options:
  --listen HOST:PORT          the address to listen at; port 0 takes free ports [default: 127.0.0.1:9092]
  --brokers N                 number of brokers; with a fixed port each takes the next one [default: 1]
  --topic NAME:PARTITIONS     creates a topic; may be given several times
  --advertised-host HOST      the host that clients connect to
  --auto-create               lets clients create topics by asking for them
  --default-partitions N      partitions of topics created without a number [default: 1]
  --retention-bytes BYTES     keeps about this much of each partition [default: everything]
  --rebalance-delay MS        time that a new group waits for more members [default: 0]
  --skip-record-checks        checks only header and CRC of batches, for benchmarks
  -h, --help                  prints this help
";

/// The options of a run.
#[derive(Debug)]
pub(crate) struct Args {
    /// The address to listen at, as `host:port`.
    pub(crate) listen: String,
    /// The number of brokers.
    pub(crate) brokers: usize,
    /// The names and partition counts of topics to create.
    pub(crate) topics: Vec<(String, u32)>,
    /// The host that clients connect to. `None` takes the one listened at.
    pub(crate) advertised_host: Option<String>,
    /// True if clients may create topics by asking for them.
    pub(crate) auto_create: bool,
    /// The number of partitions of a topic that is created without one.
    pub(crate) default_partitions: u32,
    /// The size in bytes to which partitions are trimmed. `None` keeps everything.
    pub(crate) retention_bytes: Option<usize>,
    /// The time that a new group waits for more members.
    pub(crate) initial_rebalance_delay: Duration,
    /// True if each record of a batch is checked, not only its header and CRC.
    pub(crate) check_records: bool,
}

/// The result of reading the arguments.
#[derive(Debug)]
pub(crate) enum Parsed {
    Run(Args),
    Help,
}

/// Reads the arguments. The error names the wrong one and the reason.
pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Parsed, String> {
    let mut parsed = Args {
        listen: "127.0.0.1:9092".to_owned(),
        brokers: 1,
        topics: Vec::new(),
        advertised_host: None,
        auto_create: false,
        default_partitions: 1,
        retention_bytes: None,
        initial_rebalance_delay: Duration::ZERO,
        check_records: true,
    };
    let mut args = args;
    while let Some(arg) = args.next() {
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| args.next())
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match name.as_str() {
            "--listen" => parsed.listen = value()?,
            "--brokers" => parsed.brokers = number(&name, &value()?)?,
            "--topic" => parsed.topics.push(topic(&value()?)?),
            "--advertised-host" => parsed.advertised_host = Some(value()?),
            "--auto-create" => parsed.auto_create = true,
            "--default-partitions" => parsed.default_partitions = number(&name, &value()?)?,
            "--retention-bytes" => parsed.retention_bytes = Some(number(&name, &value()?)?),
            "--rebalance-delay" => {
                parsed.initial_rebalance_delay = Duration::from_millis(number(&name, &value()?)?);
            }
            "--skip-record-checks" => parsed.check_records = false,
            "-h" | "--help" => return Ok(Parsed::Help),
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok(Parsed::Run(parsed))
}

/// Reads a number of the option `name`.
fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{name}: '{value}' is not a valid number"))
}

/// Reads `NAME:PARTITIONS`.
fn topic(value: &str) -> Result<(String, u32), String> {
    let parts = value
        .rsplit_once(':')
        .and_then(|(name, count)| Some((name.to_owned(), count.parse().ok()?)));
    parts.ok_or_else(|| format!("--topic: '{value}' is not NAME:PARTITIONS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Parsed, String> {
        parse(args.iter().map(ToString::to_string))
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let Parsed::Run(args) = parsed(&[
            "--listen=0.0.0.0:0",
            "--brokers",
            "3",
            "--topic",
            "orders:6",
        ])
        .unwrap() else {
            panic!("help was asked for");
        };
        assert_eq!((args.listen.as_str(), args.brokers), ("0.0.0.0:0", 3));
        assert_eq!(args.topics, [("orders".to_owned(), 6)]);
    }

    #[test]
    fn errors_name_the_option() {
        for (wrong, name) in [
            (&["--brokers", "some"][..], "--brokers"),
            (&["--topic", "orders"], "--topic"),
            (&["--listen"], "--listen"),
            (&["--what"], "--what"),
        ] {
            assert!(parsed(wrong).unwrap_err().contains(name));
        }
    }
}
