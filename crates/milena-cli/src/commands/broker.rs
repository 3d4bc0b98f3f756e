//! `milena broker`, which runs the embedded broker on a port.

use std::time::Duration;

use clap::Args;
use milena::broker::Broker;

use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;

/// The broker keeps everything in memory. When it ends, all data is gone.
#[derive(Debug, Args)]
pub(crate) struct BrokerArgs {
    /// The port to listen on. 0 takes a free one. With several brokers each takes the next port.
    #[arg(long, value_name = "N", default_value_t = 9092)]
    port: u16,
    /// The address to listen at.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// The host that clients connect to.
    #[arg(long, value_name = "HOST")]
    advertised_host: Option<String>,
    /// The number of brokers.
    #[arg(long, value_name = "N", default_value_t = 1)]
    brokers: usize,
    /// Creates a topic. May be given several times.
    #[arg(long = "topic", value_name = "NAME[:PARTITIONS]", value_parser = topic)]
    topics: Vec<(String, u32)>,
    /// Lets clients create topics by asking for them.
    #[arg(long)]
    auto_create: bool,
    /// Keeps about this many bytes of each partition, and drops the oldest. By default all is kept.
    #[arg(long, value_name = "BYTES")]
    retention_bytes: Option<usize>,
}

/// Prints the addresses, and runs until it is interrupted.
pub(crate) async fn run(args: BrokerArgs) -> Result<(), Failure> {
    let mut builder = Broker::builder()
        .brokers(args.brokers)
        .listen(format!("{}:{}", args.host, args.port))
        .auto_create_topics(args.auto_create)
        .initial_rebalance_delay(Duration::ZERO)
        .journal(0);
    if let Some(host) = args.advertised_host {
        builder = builder.advertised_host(host);
    }
    if let Some(bytes) = args.retention_bytes {
        builder = builder.retention_bytes(bytes);
    }
    for (name, partitions) in args.topics {
        builder = builder.topic(name, partitions);
    }
    let signals = Signals::watch();
    let broker = builder.start().await.map_err(|error| {
        let failure = Failure::from(error).to_string();
        Failure::failed(failure)
    })?;
    output::say(&broker.bootstrap_servers())?;
    signals.asked().await;
    broker.shutdown().await;
    Ok(())
}

fn topic(text: &str) -> Result<(String, u32), String> {
    let (name, partitions) = match text.rsplit_once(':') {
        None => (text, "1"),
        Some(parts) => parts,
    };
    let count = partitions.parse().ok().filter(|count| *count > 0);
    let count = count.ok_or_else(|| format!("'{partitions}' is not a number of partitions"))?;
    Ok((name.to_owned(), count))
}
