//! The settings of the programs, from the command line or the environment.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, value_parser};
use milena::trace::otlp::Otlp;
use milena::{Client, ClientBuilder, Result};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// The settings that all programs share.
#[derive(Clone, Debug, Parser)]
pub struct Settings {
    /// The cluster, as `host:port`, several with commas between.
    #[arg(
        long,
        env = "MILENA_BOOTSTRAP",
        default_value = "",
        hide_default_value = true
    )]
    pub bootstrap: String,
    /// The number of orders to place.
    #[arg(long, env = "ORDERS", default_value_t = 5_000, value_parser = value_parser!(u64).range(1..))]
    pub orders: u64,
    /// The number of partitions of a new topic.
    #[arg(long, env = "PARTITIONS", default_value_t = 4, value_parser = value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// The topic that the smallest producer writes to and the smallest consumer reads.
    #[arg(long, env = "TOPIC", default_value = "letters")]
    pub topic: String,
    /// The group of the smallest consumer.
    #[arg(long, env = "GROUP", default_value = "readers")]
    pub group: String,
    /// The prefix of the names of the order system's topics and group.
    #[arg(
        long = "topic-prefix",
        env = "TOPIC_PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub prefix: String,
}

impl Settings {
    /// Returns true if a cluster is named.
    #[must_use]
    pub fn has_cluster(&self) -> bool {
        !self.bootstrap.trim().is_empty()
    }

    /// Creates a builder of a client for the named cluster, or for `localhost:9092`.
    pub fn client(&self, client_id: &str) -> ClientBuilder {
        let named = self.has_cluster().then_some(self.bootstrap.as_str());
        let builder = Client::builder().client_id(client_id);
        builder.bootstrap([named.unwrap_or("localhost:9092")])
    }

    /// Connects to the cluster.
    ///
    /// # Errors
    /// An error if no broker answers.
    pub async fn connect(&self, client_id: &str) -> Result<Client> {
        log(None);
        self.client(client_id).connect().await
    }
}

/// Starts logging to the standard error stream, and the export of spans. Logs errors and brokers
/// that cannot be reached, or the targets that `RUST_LOG` names.
pub fn log(export: Option<&Otlp>) {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("error,milena_pool=warn"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let ours = Targets::new().with_target("milena::trace", LevelFilter::INFO);
    let spans = export.map(|export| export.layer().with_filter(ours));
    let subscriber = tracing_subscriber::registry().with(spans);
    subscriber.with(lines.with_filter(filter)).init();
}

/// Returns a program's exit code. Prints an error with all its causes to the standard error stream.
#[must_use]
pub fn end(ended: Result<()>) -> ExitCode {
    let Err(error) = ended else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}
