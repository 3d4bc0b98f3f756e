//! `milena produce`: records from standard input.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Read};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use milena::producer::partitioner::{NAMES, by_name};
use milena::{Acks, Compression, Delivery, Headers, Producer, ProducerRecord, Timestamp};
use tokio::sync::mpsc;

use crate::failure::Failure;
use crate::format::{InRecord, Reader, RecordFormat, push_header};
use crate::progress::Progress;
use crate::session::Session;

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

/// How records are sent.
#[derive(Debug, Args)]
pub(super) struct How {
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value = "none")]
    compression: Codec,
    /// Which replicas have to have a record: all, 1, 0.
    #[arg(long, value_name = "ACKS", default_value = "all", value_parser = acks)]
    acks: Acks,
    /// Which client's scheme places a key; milena partition lists them.
    #[arg(long, value_name = "NAME", default_value = "java", value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    partitioner: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl How {
    pub(super) fn producer(&self, session: &Session) -> Result<Producer, Failure> {
        let compression = match self.compression {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::GZIP,
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::LZ4,
            Codec::Zstd => Compression::ZSTD,
        };
        let builder = session.client.producer().acks(self.acks);
        let builder = builder.compression(compression);
        let builder = match by_name(&self.partitioner) {
            Some(scheme) if self.partitioner != "java" => builder.partitioner(scheme),
            _ => builder,
        };
        Ok(builder.build()?)
    }
}

fn acks(text: &str) -> Result<Acks, String> {
    match text {
        "all" | "-1" => Ok(Acks::All),
        "1" => Ok(Acks::Leader),
        "0" => Ok(Acks::None),
        _ => Err(format!("'{text}' is none of all, 1, 0")),
    }
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
    let mut headers = Headers::new();
    for header in &args.headers {
        push_header(&mut headers, header.as_bytes());
    }
    let producer = args.how.producer(session)?;
    let mut writer = Writer {
        topic: producer.topic(args.topic.as_str()),
        plain: args.partition.is_none() && headers.is_empty(),
        headers,
        producer: producer.clone(),
        args: &args,
        waiting: VecDeque::new(),
        taken: 0,
        settled: 0,
    };
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
        progress.at(writer.taken);
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

/// Standard input or a file, piece by piece, read by a thread of its own.
fn input(file: Option<PathBuf>) -> mpsc::Receiver<Result<Vec<u8>, Failure>> {
    let (send, chunks) = mpsc::channel(4);
    std::thread::spawn(move || {
        let name = match &file {
            Some(path) => path.display().to_string(),
            None => "standard input".to_owned(),
        };
        let opened: io::Result<Box<dyn Read>> = match &file {
            Some(path) => std::fs::File::open(path).map(|file| Box::new(file) as Box<dyn Read>),
            None => Ok(Box::new(io::stdin().lock())),
        };
        let mut source = match opened {
            Ok(source) => source,
            Err(error) => {
                let _ = send.blocking_send(Err(Failure::input(&name, &error)));
                return;
            }
        };
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match source.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let _ = send.blocking_send(Err(Failure::input(&name, &error)));
                    return;
                }
            };
            chunk.truncate(read);
            if send.blocking_send(Ok(chunk)).is_err() {
                return;
            }
        }
    });
    chunks
}

/// Where records go; each is followed to its outcome.
struct Writer<'a> {
    producer: Producer,
    topic: milena::producer::Topic,
    args: &'a Produce,
    headers: Headers,
    /// Whether nothing but key and value is sent, as far as the arguments say.
    plain: bool,
    waiting: VecDeque<Delivery>,
    taken: u64,
    settled: u64,
}

impl Writer<'_> {
    async fn take(&mut self, record: InRecord<'_>) -> Result<(), Failure> {
        self.taken += 1;
        let key = match &self.args.key {
            Some(key) => Some(key.as_bytes()),
            None => record.key.as_deref(),
        };
        let plain = self.plain
            && record.topic.is_none()
            && record.partition.is_none()
            && record.timestamp.is_none()
            && record.headers.is_none();
        let enqueued = match plain {
            true => self.topic.enqueue(key, record.value.as_deref()).await,
            false => {
                let topic = record.topic.as_deref().unwrap_or(&self.args.topic);
                let mut sent = ProducerRecord::new(topic);
                sent.record.key = key.map(|key| key.to_vec().into());
                sent.record.value = record.value.map(|value| value.into_owned().into());
                sent.record.timestamp = record.timestamp.map(Timestamp::from_millis);
                sent.record.headers = record.headers.unwrap_or_default();
                for header in self.headers.iter() {
                    match header.value {
                        Some(value) => {
                            let headers = &mut sent.record.headers;
                            headers.push(header.key.to_vec(), value.to_vec());
                        }
                        None => sent.record.headers.push_null(header.key.to_vec()),
                    }
                }
                if let Some(partition) = self.args.partition.or(record.partition) {
                    sent = sent.partition(partition);
                }
                self.producer.enqueue(sent).await
            }
        };
        let delivery = enqueued.map_err(|error| failed(self.taken, error))?;
        self.waiting.push_back(delivery);
        if self.waiting.len() > MOST_WAITING {
            self.settle_one().await?;
        }
        Ok(())
    }

    /// Takes note of outcomes that are there.
    fn settle(&mut self) -> Result<(), Failure> {
        while let Some(outcome) = self.waiting.front().and_then(Delivery::outcome) {
            self.waiting.pop_front();
            self.settled += 1;
            outcome.map_err(|error| failed(self.settled, error))?;
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> Result<(), Failure> {
        if let Some(first) = self.waiting.pop_front() {
            self.settled += 1;
            first.await.map_err(|error| failed(self.settled, error))?;
        }
        Ok(())
    }

    /// Waits until every record is acknowledged.
    async fn end(mut self) -> Result<(), Failure> {
        self.producer.flush().await?;
        self.settle()?;
        while !self.waiting.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }
}

fn failed(number: u64, error: milena::Error) -> Failure {
    Failure::from(error).before(format!("record {number}"))
}

const CHUNK: usize = 1 << 20;
const MOST_WAITING: usize = 2_000_000;
