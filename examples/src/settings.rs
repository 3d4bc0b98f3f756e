//! What the programs read from their environment.

use std::fmt::Display;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::str::FromStr;

use milena::trace::otlp::Otlp;
use milena::{Client, ClientBuilder, Error, ErrorKind, Result};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// What the programs can be told by environment variables.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `MILENA_BOOTSTRAP`: the cluster, as `host:port`, several with commas between; `None` where unset or empty.
    pub bootstrap: Option<String>,
    /// `ORDERS`: how many orders to place. Default 5,000.
    pub orders: u64,
    /// `PARTITIONS`: how many partitions a new topic gets. Default 4.
    pub partitions: i32,
    /// `TOPIC`: where the smallest producer writes and the smallest consumer reads. Default `letters`.
    pub topic: String,
    /// `GROUP`: the group of the smallest consumer. Default `readers`.
    pub group: String,
    /// `TOPIC_PREFIX`: what the topics' names begin with. Default empty.
    pub prefix: String,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Where a variable is not of its kind; the error names it.
    pub fn read() -> Result<Self> {
        Ok(Self {
            bootstrap: std::env::var("MILENA_BOOTSTRAP")
                .ok()
                .filter(|text| !text.trim().is_empty()),
            orders: number("ORDERS", 5_000)?,
            partitions: number("PARTITIONS", 4)?,
            topic: std::env::var("TOPIC").unwrap_or_else(|_| "letters".to_owned()),
            group: std::env::var("GROUP").unwrap_or_else(|_| "readers".to_owned()),
            prefix: std::env::var("TOPIC_PREFIX").unwrap_or_default(),
        })
    }

    /// Connects to the cluster that was named, or to `localhost:9092`.
    ///
    /// # Errors
    /// Where no broker answers there.
    pub async fn connect(&self, client_id: &str) -> Result<Client> {
        self.client(client_id).connect().await
    }

    /// Sets up a client of that cluster.
    pub fn client(&self, client_id: &str) -> ClientBuilder {
        let bootstrap = self.bootstrap.as_deref().unwrap_or("localhost:9092");
        Client::builder()
            .bootstrap([bootstrap])
            .client_id(client_id)
    }
}

fn number<T: FromStr<Err: Display> + PartialOrd + From<u8>>(
    name: &'static str,
    default: T,
) -> Result<T> {
    let Ok(text) = std::env::var(name) else {
        return Ok(default);
    };
    match text.trim().parse::<T>() {
        Ok(number) if number >= T::from(1) => Ok(number),
        Ok(_) => Err(Error::new(
            ErrorKind::Config,
            format!("`{text}` is too small; give at least 1"),
        )
        .setting(name)),
        Err(cause) => Err(Error::new(
            ErrorKind::Config,
            format!("`{text}` is not a whole number: {cause}"),
        )
        .setting(name)),
    }
}

/// Logs errors, and brokers that cannot be reached, to the standard error stream, or what `RUST_LOG` asks for.
pub fn log() {
    log_with(None);
}

/// As [`log`], and exports spans.
pub fn log_with(export: Option<&Otlp>) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter =
        filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error,milena_pool=warn"));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let spans = export.map(|export| {
        let ours = Targets::new().with_target("milena::trace", LevelFilter::INFO);
        export.layer().with_filter(ours)
    });
    tracing_subscriber::registry()
        .with(spans)
        .with(lines.with_filter(filter))
        .init();
}

/// Why standard input could not be read.
#[must_use]
pub fn unreadable(cause: std::io::Error) -> Error {
    Error::new(
        ErrorKind::State,
        format!("standard input cannot be read: {cause}"),
    )
    .with_source(cause)
}

/// Says on the standard error stream why a program failed, with all causes, and gives its exit code.
#[must_use]
pub fn failed(error: &Error) -> ExitCode {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    ExitCode::FAILURE
}
