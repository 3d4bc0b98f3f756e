//! The `milena` command: topics, groups, offsets, configs and lag of a cluster; producing, consuming and measuring; a broker to try it on.
//!
//! `milena help` tells the commands, `milena help COMMAND` one of them. Its exit codes:
//!
//! | Code | Meaning |
//! |---|---|
//! | 0 | done; also when the reader of its output went away, having enough |
//! | 1 | refused by the broker, or failed in a way that has no code of its own |
//! | 2 | used wrongly: an unknown option, a value that cannot be read, a name that Kafka does not allow |
//! | 3 | the cluster was not reached, or did not answer in time |
//! | 4 | no such topic, partition or group |
//! | 5 | not possible in the present state: active members, or nobody confirmed |
//! | 6 | the broker is too old for it |
//! | 7 | input could not be read or output not be written: a full disk |
//! | 8 | not known: a lag that `milena lag --max` was to judge |
//! | 130 | interrupted before it was done |
//!
//! `milena sarama-producer` and `milena sarama-consumer` end with the codes of the tools whose flags they take: 64 used wrongly, 66 no input,
//! 69 failed.

mod args;
mod commands;
mod confirm;
mod failure;
mod format;
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
    // Their flags have one dash: clap would take `-brokers` for `-b`.
    match args.next().as_deref() {
        Some("sarama-producer") => return sarama::producer(args.collect()),
        Some("sarama-consumer") => return sarama::consumer(args.collect()),
        _ => {}
    }
    let cli = Cli::parse();
    let result = block_on(cli.global.verbose, run(cli));
    ended(result)
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if !failure.is_quiet() {
        complain(&failure);
    }
    ExitCode::from(failure.code())
}

/// Says on stderr what went wrong, on one line.
fn complain(words: &impl std::fmt::Display) {
    // What brokers and users put into names and texts must not move about on the terminal, nor look like another name.
    let words = words.to_string();
    let words = output::visible(&words);
    // Nobody reads it: then nobody misses it.
    let _ = writeln!(std::io::stderr(), "milena: {words}");
}

/// Runs `future` on a runtime of its own, with what is worth telling on stderr.
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
        .map_err(|error| Failure::failed(format!("the runtime does not start: {error}")))?;
    let result = runtime.block_on(future);
    // A thread may still wait for input that will not come.
    runtime.shutdown_background();
    result
}

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
                "sarama-producer and sarama-consumer take no options of milena's before their name",
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
