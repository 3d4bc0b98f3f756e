//! `milena sarama-producer` and `milena sarama-consumer`, with the flags, output and exit codes of
//! sarama's console tools.

mod consumer;
mod flags;
mod producer;

use std::io::Write;
use std::process::ExitCode;

use milena::Client;

use crate::failure::Failure;
use flags::{Flag, Flags};

/// Runs the producer.
pub(crate) fn producer(args: Vec<String>) -> ExitCode {
    tool(args, producer::FLAGS, |flags| {
        Box::pin(producer::run(flags))
    })
}

/// Runs the consumer.
pub(crate) fn consumer(args: Vec<String>) -> ExitCode {
    tool(args, consumer::FLAGS, |flags| {
        Box::pin(consumer::run(flags))
    })
}

/// The reason that a tool ended early.
#[derive(Debug)]
enum Ended {
    /// It was used wrongly. The text is followed by the list of flags.
    Usage(String),
    NoInput(String),
    Failed(String),
    /// The output is closed.
    Quiet,
}

type Running = std::pin::Pin<Box<dyn Future<Output = Result<(), Ended>>>>;

/// Reads the flags, runs a tool and returns its exit code.
fn tool(args: Vec<String>, known: &'static [Flag], run: impl FnOnce(Flags) -> Running) -> ExitCode {
    let complain = |words: &str| {
        let _ = writeln!(std::io::stderr(), "{words}");
    };
    let flags = match Flags::parse(args, known) {
        Ok(Some(flags)) => flags,
        Ok(None) => {
            complain(&flags::usage(known));
            return ExitCode::SUCCESS;
        }
        Err(words) => {
            complain(&format!("{words}\n{}", flags::usage(known)));
            return ExitCode::from(2);
        }
    };
    let verbose = u8::from(flags.is_on("verbose"));
    let ended = crate::block_on(verbose, async { Ok(run(flags).await) });
    let (code, words) = match ended {
        Ok(Ok(()) | Err(Ended::Quiet)) => return ExitCode::SUCCESS,
        Ok(Err(Ended::Usage(words))) => (64, format!("{words}\n\n{}", flags::usage(known))),
        Ok(Err(Ended::NoInput(words))) => (66, words),
        Ok(Err(Ended::Failed(words))) => (69, words),
        Err(failure) => (69, failure.to_string()),
    };
    complain(&format!("ERROR: {words}\n"));
    ExitCode::from(code)
}

/// Connects to `-brokers`, or to those of KAFKA_PEERS.
async fn connect(flags: &Flags, missing: &str, failing: &str) -> Result<Client, Ended> {
    let peers = std::env::var("KAFKA_PEERS").unwrap_or_default();
    let brokers = flags.value("brokers").unwrap_or(&peers);
    if brokers.is_empty() {
        return Err(Ended::Usage(missing.to_owned()));
    }
    let brokers: Vec<String> = brokers.split(',').map(str::to_owned).collect();
    let client = Client::builder()
        .bootstrap(brokers)
        .client_id("sarama")
        .api_timeout(std::time::Duration::from_secs(30));
    client
        .connect()
        .await
        .map_err(|error| Ended::Failed(format!("{failing}: {}", Failure::from(error))))
}

/// Writes to standard output.
fn print(text: &[u8]) -> Result<(), Ended> {
    crate::output::write(text).map_err(|failure| match failure.is_quiet() {
        true => Ended::Quiet,
        false => Ended::Failed(failure.to_string()),
    })
}
