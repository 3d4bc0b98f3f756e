//! The target on which clients are compared. It is the stub, the embedded broker, or an existing
//! Kafka.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use milena::admin::NewTopic;
use milena_broker::Broker;

use crate::args::EmbeddedFlags;
use crate::case::Due;
use crate::clients::text;
use crate::measure;

/// A running target with one topic. Dropping it ends the process that was started for it.
pub(crate) struct Target {
    /// Its addresses.
    pub(crate) bootstrap: String,
    /// The topic of the comparison.
    pub(crate) topic: String,
    /// The process of the target. `None` for an existing Kafka.
    process: Option<Process>,
    /// True if the target counts requests, which only the stub does.
    counts: bool,
    /// True if the topic was created and is deleted on drop.
    made_topic: bool,
}

struct Process {
    /// The process itself.
    child: Child,
    /// Its standard input. A line asks for the counts.
    to: ChildStdin,
    /// Its standard output.
    from: BufReader<ChildStdout>,
}

/// The configuration of a target.
pub(crate) struct Wish<'a> {
    /// `stub`, `embedded`, or an address.
    pub(crate) name: &'a str,
    /// The partitions of the topic.
    pub(crate) partitions: u32,
    /// The delay of each answer. For the stub.
    pub(crate) rtt: Duration,
    /// True if a connection's requests are answered one at a time. For the stub.
    pub(crate) serial: bool,
    /// The batches to read. `None` if the target is only written to.
    pub(crate) serves: Option<Served>,
    /// The core of the target's process. `None` to let the system choose.
    pub(crate) core: Option<usize>,
}

/// The batches that a target serves.
pub(crate) struct Served {
    /// Bytes of a value.
    pub(crate) size: usize,
    /// Bytes of uncompressed records in a batch.
    pub(crate) batch_size: usize,
    /// The codec of the batches.
    pub(crate) codec: String,
    /// Records per second that become readable. `None` for no end of them.
    pub(crate) rate: Option<u64>,
}

/// The counts that the stub reports.
pub(crate) struct Counts {
    /// The requests since the last report.
    pub(crate) requests: u64,
    /// The records since the last report.
    pub(crate) records: u64,
    /// The time of the first batch, in nanoseconds of the system's monotonic clock. 0 without a
    /// rate.
    origin: u64,
    /// The nanoseconds between two batches. 0 without a rate.
    tick: u64,
    /// The records of a batch that is served.
    pub(crate) batch: u64,
    /// Bytes of a batch.
    pub(crate) batch_bytes: u64,
}

impl Counts {
    /// Returns the rule that tells when its records were written.
    pub(crate) fn clock(&self) -> Due {
        Due::ByOffset {
            origin: self.origin,
            tick: self.tick,
            batch: self.batch,
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map(|number| number.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            requests: next()?,
            records: next()?,
            origin: next()?,
            tick: next()?,
            batch: next()?,
            batch_bytes: next()?,
        })
    }
}

impl Target {
    pub(crate) fn start(wish: &Wish<'_>) -> Result<Self, String> {
        let core = wish
            .core
            .map(|core| vec!["--core".to_owned(), core.to_string()]);
        let mut arguments = core.unwrap_or_default();
        let name = format!("compare-{}-{}", std::process::id(), wish.partitions);
        match wish.name {
            "stub" => {
                arguments.insert(0, "stub".to_owned());
                arguments.extend(["--partitions".to_owned(), wish.partitions.to_string()]);
                arguments.extend(["--rtt".to_owned(), format!("{}us", wish.rtt.as_micros())]);
                arguments.extend(wish.serial.then(|| "--serial".to_owned()));
                if let Some(served) = &wish.serves {
                    arguments.extend(["--size".to_owned(), served.size.to_string()]);
                    arguments.extend(["--batch-size".to_owned(), served.batch_size.to_string()]);
                    arguments.extend(["--codec".to_owned(), served.codec.clone()]);
                    let rate = served
                        .rate
                        .map(|rate| ["--rate".to_owned(), rate.to_string()]);
                    arguments.extend(rate.into_iter().flatten());
                }
                Self::spawn(&arguments, name, true)
            }
            "embedded" => {
                arguments.insert(0, "embedded".to_owned());
                let mut target = Self::spawn(&arguments, name, false)?;
                target.make_topic(wish.partitions, wish.serves.is_some())?;
                Ok(target)
            }
            address => {
                let mut target = Self {
                    bootstrap: address.to_owned(),
                    topic: name,
                    process: None,
                    counts: false,
                    made_topic: false,
                };
                target.make_topic(wish.partitions, wish.serves.is_some())?;
                Ok(target)
            }
        }
    }

    fn spawn(arguments: &[String], topic: String, counts: bool) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(text)?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the target has no pipes".to_owned());
        };
        let from = BufReader::new(from);
        let mut process = Process { child, to, from };
        Ok(Self {
            bootstrap: process.line()?,
            topic,
            process: Some(process),
            counts,
            made_topic: false,
        })
    }

    /// Returns the requests and records since the last call, and restarts the log of a paced stub.
    /// `None` for other targets, which do not count.
    pub(crate) fn counts(&mut self) -> Option<Counts> {
        let process = self.process.as_mut().filter(|_| self.counts)?;
        process.to.write_all(b"\n").ok()?;
        Counts::parse(&process.line().ok()?)
    }

    fn make_topic(&mut self, partitions: u32, kept: bool) -> Result<(), String> {
        // Small segments, and a small retention for topics that are only written to, keep the
        // comparison from filling the disk.
        let retention = if kept { "-1" } else { "134217728" };
        let topic = NewTopic::new(self.topic.as_str())
            .partitions(partitions as i32)
            .config("retention.bytes", retention)
            .config("segment.bytes", "67108864");
        self.administer(async |admin| {
            let created = admin.create_topics([topic]).await?;
            created.all()
        })?;
        self.made_topic = true;
        Ok(())
    }

    fn administer<T>(
        &self,
        work: impl AsyncFnOnce(milena::Admin) -> milena::Result<T>,
    ) -> Result<T, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(text)?;
        runtime.block_on(async {
            let client = milena::Client::builder()
                .bootstrap([self.bootstrap.as_str()])
                .connect()
                .await
                .map_err(text)?;
            let done = work(client.admin()).await.map_err(text);
            client.close().await;
            done
        })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            drop(process.child.kill());
            drop(process.child.wait());
        } else if self.made_topic {
            let topic = self.topic.clone();
            drop(self.administer(async |admin| admin.delete_topics([topic]).await));
        }
    }
}

impl Process {
    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.from.read_line(&mut line).map_err(text)?;
        match line.trim() {
            "" => Err("the target's process ended".to_owned()),
            line => Ok(line.to_owned()),
        }
    }
}

/// Runs the process of the embedded broker, which serves until standard input ends.
pub(crate) fn embedded(flags: &EmbeddedFlags) -> Result<(), String> {
    measure::stay_on(flags.core.as_slice());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(flags.core.map_or(2, |_| 1))
        .enable_all()
        .build()
        .map_err(text)?;
    let broker = Broker::builder().listen("127.0.0.1:0").journal(100);
    let broker = runtime.block_on(broker.start()).map_err(text)?;
    println!("{}", broker.bootstrap().join(","));
    for _ in std::io::stdin().lines() {}
    Ok(())
}
