//! `milena produce`, which sends records from standard input.

mod how;
mod input;
mod outcomes;
mod reader;
mod writer;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use milena::Producer;
use serde_json::json;
use tokio::time::timeout;

use self::input::input;
use self::reader::Input;
use self::writer::Writer;
use crate::failure::Failure;
use crate::format::{JsonLines, Reader, RecordFormat};
use crate::output::{self, Format, Table};
use crate::progress::Progress;
use crate::session::Session;
use crate::signals::Signals;

pub(super) use self::how::How;

/// The records to write, and the form of the input.
#[derive(Debug, Args)]
pub(crate) struct Produce {
    /// The topic to write to.
    topic: String,
    /// The form of the input, which is records by --format, or lines of JSON as consume -o json
    /// writes them. Of JSON, key, value, headers and timestamp are used. Topic, partition and
    /// offset only tell where a record came from and are not used.
    #[arg(short, long, value_name = "KIND", value_enum, default_value = "text")]
    input: InputForm,
    /// The format of a record, such as '%k\t%v\n'. '%K %V %k%v\n' reads keys and values of any
    /// bytes by their lengths.
    #[arg(short, long, value_name = "FORMAT", default_value = "%v\\n")]
    format: RecordFormat,
    /// Reads keys. A key ends at the first occurrence of this text in a line.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with = "format")]
    key_separator: Option<String>,
    /// The key of every record.
    #[arg(short, long)]
    key: Option<String>,
    /// Sends this value instead of standard input. May be given several times.
    #[arg(long = "value", value_name = "VALUE")]
    values: Vec<String>,
    /// Reads this file instead of standard input.
    #[arg(long, value_name = "PATH", conflicts_with = "values")]
    file: Option<PathBuf>,
    /// Adds a header to every record. May be given several times. Without = its value is null.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<String>,
    /// Writes to this partition.
    #[arg(short, long, value_name = "N")]
    partition: Option<u32>,
    /// The text of a null key or value.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    #[command(flatten)]
    how: How,
}

/// The form of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputForm {
    /// Records by a format.
    Text,
    /// One JSON object per line.
    Json,
}

/// Checks that a header has a name.
fn header(text: &str) -> Result<String, String> {
    match text.split('=').next() {
        None | Some("") => Err("a header needs a name".to_owned()),
        Some(_) => Ok(text.to_owned()),
    }
}

pub(super) async fn run(args: Produce, session: &Session) -> Result<(), Failure> {
    let signals = Signals::watch();
    let input = reader(&args)?;
    let partitions = session.partitions_of(&args.topic).await?;
    if let Some(number) = args.partition.filter(|number| *number >= partitions) {
        let words = format!(
            "{} has {partitions} partitions, and no partition {number}",
            args.topic
        );
        return Err(Failure::usage(words));
    }
    let producer = args.how.producer(session)?;
    let mut writer = Writer::new(&producer, &args);
    let read = match args.values.is_empty() {
        true => pour(&args, input, &mut writer, &signals).await,
        false => {
            values(&args, &mut writer, &signals).await;
            Ok(())
        }
    };
    // Records that were sent before a failure still get their outcome.
    let limit = session.global.timeout;
    let (acknowledged, sent) = writer.end(&signals, limit).await;
    if matches!(session.global.output, Some(Format::Json | Format::Yaml)) {
        let mut table = Table::new(&["topic", "records"]);
        table.row([json!(args.topic), json!(acknowledged)]);
        output::show(session.format(), &table)?;
    }
    if let (Err(failure), Err(_)) = (&read, &sent) {
        crate::complain(failure);
    }
    sent?;
    read?;
    match signals.have_come() {
        true => Err(Failure::interrupted()),
        false => Ok(()),
    }
}

/// Makes the reader of the input.
fn reader(args: &Produce) -> Result<Input, Failure> {
    if args.input == InputForm::Json {
        return Ok(Input::Json(JsonLines::new(args.how.most())));
    }
    let format = match &args.key_separator {
        Some(separator) => RecordFormat::key_value(separator).map_err(Failure::usage)?,
        None => args.format.clone(),
    };
    let format = format.null(args.null.as_deref());
    let reader = Reader::new(format, args.how.most()).map_err(Failure::usage)?;
    Ok(Input::Text(reader))
}

/// Sends the values of the command line.
async fn values(args: &Produce, writer: &mut Writer<'_>, signals: &Signals) {
    for value in &args.values {
        let value = Some(value.as_bytes()).filter(|_| args.null.as_ref() != Some(value));
        tokio::select! {
            biased;
            () = writer.value(value) => {}
            () = signals.asked() => return,
        }
    }
}

/// Sends the records of the input until it ends, a record fails, or a signal comes.
async fn pour(
    args: &Produce,
    mut reader: Input,
    writer: &mut Writer<'_>,
    signals: &Signals,
) -> Result<(), Failure> {
    let mut chunks = input(args.file.clone());
    let mut progress = Progress::new("sent", None, io::stdin().is_terminal());
    while !reader.is_ended() {
        let chunk = tokio::select! {
            biased;
            () = signals.asked() => return Ok(()),
            chunk = chunks.recv() => chunk,
        };
        match chunk {
            Some(chunk) => reader.feed(&chunk?),
            None => reader.end(),
        }
        while let Some(record) = reader.next().map_err(Failure::usage)? {
            tokio::select! {
                biased;
                () = writer.take(record) => {}
                // A producer without room waits for a broker that takes nothing. A signal must end
                // that.
                () = signals.asked() => return Ok(()),
            }
        }
        if writer.settle() {
            return Ok(());
        }
        progress.at(writer.taken());
    }
    Ok(())
}

/// Waits until every enqueued record has its outcome. After a signal, waits a few seconds at most.
pub(super) async fn flush(
    producer: &Producer,
    signals: &Signals,
    limit: Duration,
) -> Result<(), Failure> {
    let impatient = async {
        signals.asked().await;
        tokio::time::sleep(limit.min(AFTER_SIGNAL)).await;
    };
    tokio::select! {
        flushed = producer.flush() => Ok(flushed?),
        () = impatient => {
            // Closing gives each record without an outcome one, which is not written or possibly
            // written.
            let _ = timeout(AFTER_SIGNAL, producer.close(Duration::ZERO)).await;
            Ok(())
        }
    }
}

/// The time that sent records get after a signal, because the sender of the signal does not wait
/// for long.
const AFTER_SIGNAL: Duration = Duration::from_secs(5);
