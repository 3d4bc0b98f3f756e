//! The `milena` command. It manages topics, groups, offsets and configs, shows lag, writes, reads
//! and measures, and runs a broker for trials.
//!
//! `milena help` lists the commands, and `milena help COMMAND` describes one. The exit codes are as
//! follows.
//!
//! | Code | Meaning |
//! |---|---|
//! | 0 | done, also when the reader closed the output |
//! | 1 | refused by the broker, or failed in a way that has no code of its own |
//! | 2 | wrong use, such as an unknown option, an unreadable value or a name that Kafka forbids |
//! | 3 | the cluster was not reached, or did not answer in time |
//! | 4 | no such topic, partition or group |
//! | 5 | not possible in the present state, such as active members, or not confirmed |
//! | 6 | the broker is too old |
//! | 7 | input could not be read or output not be written, for example on a full disk |
//! | 8 | unknown, such as a lag that `milena lag --max` was to judge |
//! | 130 | interrupted before it was done |
//!
//! `milena sarama-producer` and `milena sarama-consumer` use the exit codes of the tools whose
//! flags they take. Those are 64 for wrong use, 66 for no input and 69 for a failure.

mod args;
mod commands;
mod confirm;
mod failure;
mod format;
mod http;
mod nearest;
mod output;
mod progress;
mod sarama;
mod session;
mod signals;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;
use session::Session;

/// Runs the program that this process was started as.
#[must_use]
pub fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    // The flags of sarama's tools have one dash. clap would read `-brokers` as `-b`.
    match args.next().as_deref() {
        Some("sarama-producer") => return sarama::producer(args.collect()),
        Some("sarama-consumer") => return sarama::consumer(args.collect()),
        _ => {}
    }
    let cli = Cli::parse();
    let result = block_on(cli.global.verbose, run(cli));
    ended(result)
}

/// Prints a failure, and returns its exit code.
fn ended(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if !failure.is_quiet() {
        complain(&failure);
    }
    ExitCode::from(failure.code())
}

/// Prints an error on stderr, on one line.
fn complain(words: &impl std::fmt::Display) {
    // Names from brokers and users could hold control characters, which would move the cursor or
    // make one name look like another.
    let words = words.to_string();
    let words = output::visible(&words);
    // If stderr is closed, there is no one left to inform.
    let _ = writeln!(std::io::stderr(), "milena: {words}");
}

/// Runs `future` on a runtime of its own, with log lines on stderr.
fn block_on<T>(
    verbose: u8,
    future: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let level = match verbose {
        0 => "error",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| level.into()))
        .with_writer(std::io::stderr)
        .try_init();
    drop(started);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the tokio runtime cannot start: {error}")))?;
    let result = runtime.block_on(future);
    // A thread may still wait for input that never comes.
    runtime.shutdown_background();
    result
}

/// Runs a command. Most of them need a connection, which is made here.
async fn run(cli: Cli) -> Result<(), Failure> {
    let global = cli.global;
    match cli.command {
        Command::Broker(args) => return commands::broker::run(args).await,
        Command::Config(verb) => return commands::config::run(verb, &global),
        Command::Completions(args) => return commands::completions::run(&args),
        Command::Health(args) if args.url.is_some() => {
            return commands::health::of_program(&args, &global).await;
        }
        Command::Partition(args) if args.partitions.is_some() => {
            return commands::partition::offline(&args, &global);
        }
        Command::SaramaProducer | Command::SaramaConsumer => {
            return Err(Failure::usage(
                "sarama-producer and sarama-consumer take no other options before their name",
            ));
        }
        _ => {}
    }
    let session = Session::connect(global).await?;
    let result = commands::run(cli.command, &session).await;
    let result = match result {
        Err(failure) => Err(nearest::hint(&session, failure).await),
        done => done,
    };
    session.client.close().await;
    result
}
