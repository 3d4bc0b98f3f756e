//! `milena-broker`, the embedded broker as a program, for clients of any language. It needs the
//! feature `bin`.

mod args;

use std::io::Write;
use std::process::ExitCode;

use args::{Args, Parsed};
use milena_broker::Broker;
use milena_core::{Error, ErrorKind, Result};

fn main() -> ExitCode {
    let args = match args::parse(std::env::args().skip(1)) {
        Ok(Parsed::Run(args)) => args,
        Ok(Parsed::Help) => {
            say(args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            complain(&format!("{why}\n\n{}", args::HELP));
            return ExitCode::from(2);
        }
    };
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => {
            Err(Error::new(ErrorKind::Config, "the tokio runtime cannot start").with_source(error))
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Runs a cluster until a signal comes.
async fn run(args: Args) -> Result<()> {
    let mut builder = Broker::builder()
        .brokers(args.brokers)
        .listen(args.listen)
        .auto_create_topics(args.auto_create)
        .default_partitions(args.default_partitions)
        .check_records(args.check_records)
        .initial_rebalance_delay(args.initial_rebalance_delay)
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
    // Before the address is printed, since whoever reads it may send a signal at once. Without a
    // listener the signal would end the program where it stands.
    let signalled = signalled()?;
    let broker = builder.start().await?;
    say(&broker.bootstrap_servers());
    signalled.await;
    broker.shutdown().await;
    Ok(())
}

/// Listens for SIGINT and SIGTERM from now on. The future waits for the first.
#[cfg(unix)]
fn signalled() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut int = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut term = signal(SignalKind::terminate()).map_err(no_signals)?;
    Ok(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    })
}

/// Listens for Ctrl-C from now on. The future waits for it.
#[cfg(windows)]
fn signalled() -> Result<impl Future<Output = ()>> {
    let mut pressed = tokio::signal::windows::ctrl_c().map_err(no_signals)?;
    Ok(async move {
        pressed.recv().await;
    })
}

fn no_signals(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Config, "SIGINT and SIGTERM cannot be watched").with_source(error)
}

/// Prints a line on stdout.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // If stdout is closed, there is no one left to inform.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints an error on stderr.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "milena-broker: {line}");
}
