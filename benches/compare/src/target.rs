//! What clients are compared on: the stub, the embedded broker, or a Kafka that is already there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use milena::admin::NewTopic;
use milena_broker::Broker;

use crate::args::EmbeddedFlags;
use crate::measure;

/// A running target with one topic; a process that was started for it ends with it.
pub(crate) struct Target {
    pub(crate) bootstrap: String,
    pub(crate) topic: String,
    /// The core that the target has for itself.
    process: Option<Process>,
    counts: bool,
    made_topic: bool,
}

struct Process {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// How a target is to be started.
pub(crate) struct Wish<'a> {
    pub(crate) name: &'a str,
    pub(crate) partitions: u32,
    pub(crate) rtt: Duration,
    pub(crate) serial: bool,
    pub(crate) core: Option<usize>,
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
                Self::spawn(&arguments, name, true)
            }
            "embedded" => {
                arguments.insert(0, "embedded".to_owned());
                let mut target = Self::spawn(&arguments, name, false)?;
                target.make_topic(wish.partitions)?;
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
                target.make_topic(wish.partitions)?;
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

    /// Produce requests and records since this was last asked; only the stub counts.
    pub(crate) fn counts(&mut self) -> Option<(u64, u64)> {
        let process = self.process.as_mut().filter(|_| self.counts)?;
        process.to.write_all(b"\n").ok()?;
        let line = process.line().ok()?;
        let (requests, records) = line.split_once(' ')?;
        Some((requests.parse().ok()?, records.parse().ok()?))
    }

    fn make_topic(&mut self, partitions: u32) -> Result<(), String> {
        // Small segments and little kept: the comparison must not fill the disk.
        let topic = NewTopic::new(self.topic.as_str())
            .partitions(partitions as i32)
            .config("retention.bytes", "134217728")
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
            "" => Err("the target ended".to_owned()),
            line => Ok(line.to_owned()),
        }
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The embedded broker's process: serves until standard input ends.
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
