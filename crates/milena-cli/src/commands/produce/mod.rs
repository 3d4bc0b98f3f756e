//! `milena produce`: records from standard input.

mod how;
mod input;
mod writer;

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;

use self::input::input;
use self::writer::Writer;
use crate::failure::Failure;
use crate::format::{InRecord, Reader, RecordFormat};
use crate::progress::Progress;
use crate::session::Session;

pub(super) use self::how::How;

/// What is written, and how it is read.
#[derive(Debug, Args)]
pub(crate) struct Produce {
    topic: String,
    /// How a record is read, such as '%k\t%v\n'; '%K %V %k%v\n' reads keys and values of any bytes by their lengths.
    #[arg(short, long, value_name = "FORMAT", default_value = "%v\\n")]
    format: RecordFormat,
    /// Reads keys, which end at the first of these in a line.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with = "format")]
    key_separator: Option<String>,
    /// The key of every record.
    #[arg(short, long)]
    key: Option<String>,
    /// Sends this value in place of what stands on standard input; may be given again.
    #[arg(long = "value", value_name = "VALUE")]
    values: Vec<String>,
    /// Reads this file in place of standard input.
    #[arg(long, value_name = "PATH", conflicts_with = "values")]
    file: Option<PathBuf>,
    /// Adds a header to every record; may be given again. Without = its value is null.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    headers: Vec<String>,
    /// Writes to this partition.
    #[arg(short, long, value_name = "N")]
    partition: Option<u32>,
    /// A key or value that reads so is null.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    #[command(flatten)]
    how: How,
}

pub(super) async fn run(args: Produce, session: &Session) -> Result<(), Failure> {
    let partitions = session.partitions_of(&args.topic).await?;
    if let Some(number) = args.partition.filter(|number| *number >= partitions) {
        let words = format!(
            "{} has {partitions} partitions, and no partition {number}",
            args.topic
        );
        return Err(Failure::usage(words));
    }
    let format = match &args.key_separator {
        Some(separator) => RecordFormat::key_value(separator).map_err(Failure::usage)?,
        None => args.format.clone(),
    };
    let format = format.null(args.null.as_deref());
    let mut reader = Reader::new(format).map_err(Failure::usage)?;
    let producer = args.how.producer(session)?;
    let mut writer = Writer::new(&producer, &args);
    if !args.values.is_empty() {
        for value in &args.values {
            let value = Some(value.as_bytes()).filter(|_| args.null.as_ref() != Some(value));
            let value = value.map(Cow::Borrowed);
            writer
                .take(InRecord {
                    value,
                    ..InRecord::default()
                })
                .await?;
        }
        return writer.end().await;
    }
    let mut chunks = input(args.file.clone());
    let mut progress = Progress::new("sent", None, io::stdin().is_terminal());
    let signal = milena::shutdown_signal();
    let mut signal = std::pin::pin!(signal);
    let mut interrupted = false;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            _ = &mut signal => {
                interrupted = true;
                break;
            }
        };
        match chunk {
            Some(chunk) => reader.feed(&chunk?),
            None => reader.end(),
        }
        while let Some(record) = reader.next().map_err(Failure::usage)? {
            writer.take(record).await?;
        }
        writer.settle()?;
        progress.at(writer.taken());
        if reader.is_ended() {
            break;
        }
    }
    progress.end();
    writer.end().await?;
    match interrupted {
        true => Err(Failure::interrupted()),
        false => Ok(()),
    }
}
