//! A cluster, and the command beside it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use milena::broker::Broker;
use milena::{Client, Offset, TopicPartition};
use tokio::runtime::Runtime;

pub(crate) struct World {
    pub(crate) bootstrap: String,
    /// Keeps the embedded broker alive; `None` on a real Kafka.
    embedded: Option<(Runtime, Broker)>,
}

impl World {
    pub(crate) fn new() -> Self {
        if let Ok(bootstrap) = std::env::var("MILENA_TEST_BOOTSTRAP")
            && !bootstrap.is_empty()
        {
            return Self {
                bootstrap,
                embedded: None,
            };
        }
        Self::embedded()
    }

    /// On the embedded broker, whatever is named.
    pub(crate) fn embedded() -> Self {
        Self::with_brokers(1)
    }

    /// On an embedded cluster of so many brokers, whatever is named.
    pub(crate) fn with_brokers(count: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let broker = Broker::builder()
            .brokers(count)
            .listen("127.0.0.1:0")
            .initial_rebalance_delay(Duration::ZERO);
        let broker = runtime.block_on(broker.start()).unwrap();
        Self {
            bootstrap: broker.bootstrap().join(","),
            embedded: Some((runtime, broker)),
        }
    }

    /// The embedded broker; `None` on a real Kafka.
    pub(crate) fn broker(&self) -> Option<&Broker> {
        self.embedded.as_ref().map(|(_, broker)| broker)
    }

    /// The command on this cluster.
    pub(crate) fn milena(&self, args: &[&str]) -> Command {
        let mut command = milena(args);
        command.env("MILENA_BOOTSTRAP", &self.bootstrap);
        command
    }

    /// What it prints; it has to succeed.
    pub(crate) fn out(&self, args: &[&str]) -> String {
        self.piped(args, b"")
    }

    /// What it prints when it reads `input`; it has to succeed.
    pub(crate) fn piped(&self, args: &[&str], input: &[u8]) -> String {
        let output = run(self.milena(args), input);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The command, running on.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.milena(args), Stdio::null())
    }

    /// What a group has committed, by partition.
    pub(crate) fn committed(&self, group: &str) -> Vec<(u32, i64)> {
        let output = run(self.milena(&["offsets", "show", group]), b"");
        let told = String::from_utf8(output.stdout).unwrap();
        let row = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            (cells[2].parse().unwrap(), cells[3].parse().unwrap())
        };
        told.lines().map(row).collect()
    }

    /// Commits an offset of partition 0, whatever the log holds.
    pub(crate) fn commit(&self, group: &str, topic: &str, offset: u32) {
        let committing = async {
            let client = Client::builder().bootstrap([self.bootstrap.clone()]);
            let client = client.connect().await.unwrap();
            let offsets = [(TopicPartition::new(topic, 0), Offset::from(offset))];
            let altered = client.admin().alter_offsets(group, offsets).await;
            altered.unwrap().all().unwrap();
            client.close().await;
        };
        Runtime::new().unwrap().block_on(committing);
    }

    /// Whether a group has no members, as its coordinator says.
    pub(crate) fn is_left(&self, group: &str) -> bool {
        let listed = self.out(&["groups", "list", "--state", "Empty"]);
        listed.contains(group)
    }

    /// Its exit code and what it complains of.
    pub(crate) fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = run(self.milena(args), b"");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), told)
    }

    /// A topic of this test's own.
    pub(crate) fn topic(&self, partitions: u32) -> String {
        let name = unique("cli");
        let partitions = partitions.to_string();
        self.out(&[
            "topics",
            "create",
            &name,
            "-r",
            "1",
            "--partitions",
            &partitions,
        ]);
        // Brokers of a real cluster learn of it one after the other.
        until(|| {
            let described = run(self.milena(&["topics", "describe", &name]), b"");
            described.status.success()
        });
        name
    }
}

/// The command, without a cluster.
pub(crate) fn milena(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milena"));
    command
        .args(args)
        .env_remove("MILENA_BOOTSTRAP")
        .env_remove("KAFKA_PEERS")
        .env_remove("RUST_LOG");
    command
}

/// Runs a program to its end, feeding it `input`.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeding = std::thread::spawn(move || {
        // It may end before it has read all.
        let _ = stdin.write_all(&input);
    });
    let (told, ended) = std::sync::mpsc::channel();
    let id = child.id().to_string();
    let watching = std::thread::spawn(move || {
        if ended.recv_timeout(DEADLINE).is_err() {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    let _ = told.send(());
    watching.join().unwrap();
    feeding.join().unwrap();
    output
}

/// A program that runs on until it is told to end, or ends by itself. It is killed where a test takes too long over it.
pub(crate) struct Running {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    /// Dropped when it has ended.
    watched: Option<Sender<()>>,
}

impl Running {
    pub(crate) fn start(mut command: Command, stdin: Stdio) -> Self {
        let piped = command.stdin(stdin).stdout(Stdio::piped());
        let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().map(BufReader::new);
        let (watched, ended) = channel::<()>();
        let id = child.id().to_string();
        std::thread::spawn(move || {
            if ended.recv_timeout(DEADLINE) == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-KILL", &id]).status();
            }
        });
        Self {
            child,
            out,
            watched: Some(watched),
        }
    }

    /// The next line that it writes; nothing where it has ended.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let out = self.out.as_mut().unwrap();
        out.read_line(&mut line).unwrap();
        line
    }

    /// Gives it more input, which goes on.
    pub(crate) fn write(&self, input: &[u8]) {
        self.child.stdin.as_ref().unwrap().write_all(input).unwrap();
    }

    /// Reads nothing more of what it writes.
    pub(crate) fn unread(&mut self) {
        self.out = None;
    }

    pub(crate) fn signal(&self, name: &str) {
        let (signal, id) = (format!("-{name}"), self.child.id().to_string());
        let sent = Command::new("kill").args([signal, id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended; gives its exit code, what else it wrote, and what it complained of.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let mut errors = self.child.stderr.take().unwrap();
        let complaints = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut rest = String::new();
        if let Some(mut out) = self.out.take() {
            out.read_to_string(&mut rest).unwrap();
        }
        let status = self.child.wait().unwrap();
        self.watched = None;
        (status.code(), rest, complaints.join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.watched = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again until it holds.
pub(crate) fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come to be in time");
    }
}

/// A name that no other test uses, nor another run on the same cluster.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    format!("{what}-{run}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Longer than any of them takes.
const DEADLINE: Duration = Duration::from_secs(60);
