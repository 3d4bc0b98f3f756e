//! A cluster, and the command to run on it.

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
    /// The embedded broker, kept alive with its runtime. `None` on a real Kafka.
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

    /// Makes a world on the embedded broker, even if a real Kafka is named.
    pub(crate) fn embedded() -> Self {
        Self::with_brokers(1)
    }

    /// Makes a world on an embedded cluster of `count` brokers, even if a real Kafka is named.
    pub(crate) fn with_brokers(count: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let broker = Broker::builder()
            .brokers(count)
            .listen("127.0.0.1:0")
            .initial_rebalance_delay(Duration::ZERO);
        let broker = runtime.block_on(broker.start()).unwrap();
        Self {
            bootstrap: broker.bootstrap_servers(),
            embedded: Some((runtime, broker)),
        }
    }

    /// Returns the embedded broker, or `None` on a real Kafka.
    pub(crate) fn broker(&self) -> Option<&Broker> {
        self.embedded.as_ref().map(|(_, broker)| broker)
    }

    /// Returns the command on this cluster.
    pub(crate) fn milena(&self, args: &[&str]) -> Command {
        let mut command = milena(args);
        command.env("MILENA_BOOTSTRAP", &self.bootstrap);
        command
    }

    /// Runs the command, which must succeed, and returns its output.
    pub(crate) fn out(&self, args: &[&str]) -> String {
        self.piped(args, b"")
    }

    /// Runs the command on `input`, and returns its output. It must succeed.
    pub(crate) fn piped(&self, args: &[&str], input: &[u8]) -> String {
        let output = run(self.milena(args), input);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the command, and lets it run on.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        Running::start(self.milena(args), Stdio::null())
    }

    /// Returns the committed offsets of a group by partition.
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

    /// Returns true if the coordinator says that the group has no members.
    pub(crate) fn is_left(&self, group: &str) -> bool {
        let listed = self.out(&["groups", "list", "--state", "Empty"]);
        listed.contains(group)
    }

    /// Runs the command, and returns its exit code and its errors.
    pub(crate) fn fails(&self, args: &[&str]) -> (i32, String) {
        let output = run(self.milena(args), b"");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap_or(-1), told)
    }

    /// Creates a topic for one test.
    pub(crate) fn topic(&self, partitions: u32) -> String {
        let name = unique("cli");
        let partitions = partitions.to_string();
        self.out(&words(&format!(
            "topics create {name} -r 1 --partitions {partitions}"
        )));
        // The brokers of a real cluster know of the topic one after the other.
        until(|| {
            let described = run(self.milena(&["topics", "describe", &name]), b"");
            described.status.success()
        });
        name
    }
}

/// Splits a command line into its arguments. None of them may hold a blank.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// Returns the command, without a cluster.
pub(crate) fn milena(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milena"));
    command
        .args(args)
        .env_remove("MILENA_BOOTSTRAP")
        .env_remove("KAFKA_PEERS")
        .env_remove("RUST_LOG");
    command
}

/// Runs a program on `input` to its end.
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
        // The program may end before it has read all of the input.
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

/// A program that runs until it is asked to end, or ends by itself. It is killed if a test takes
/// too long.
pub(crate) struct Running {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
    /// Dropped when the program has ended, which ends the watch.
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

    /// Returns the next line of its output, empty if it has ended.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let out = self.out.as_mut().unwrap();
        out.read_line(&mut line).unwrap();
        line
    }

    /// Writes more input.
    pub(crate) fn write(&self, input: &[u8]) {
        self.child.stdin.as_ref().unwrap().write_all(input).unwrap();
    }

    /// Stops reading its output.
    pub(crate) fn unread(&mut self) {
        self.out = None;
    }

    pub(crate) fn signal(&self, name: &str) {
        let (signal, id) = (format!("-{name}"), self.child.id().to_string());
        let sent = Command::new("kill").args([signal, id]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has ended. Returns its exit code, the rest of its output, and its errors.
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

/// Tests again and again until the condition holds.
pub(crate) fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come to be in time");
    }
}

/// Returns a name that no other test and no other run uses.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    format!("{what}-{run}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A time limit beyond that of every command.
const DEADLINE: Duration = Duration::from_secs(60);
