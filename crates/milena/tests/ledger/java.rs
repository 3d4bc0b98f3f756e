//! A classic group of Java consumers in the same chaos, for comparison. Each line of a member gets
//! its time when it arrives.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::PARTITIONS;
use crate::brokers::Brokers;
use crate::member::SESSION;

pub(crate) struct JavaGroup {
    members: Vec<Child>,
    reading: JoinSet<()>,
    came: Arc<Mutex<Vec<Came>>>,
    brokers: (std::path::PathBuf, String),
}

impl JavaGroup {
    pub(crate) fn start(brokers: &Brokers, topic: &str) -> Self {
        let mut group = Self {
            members: Vec::new(),
            reading: JoinSet::new(),
            came: Arc::new(Mutex::new(vec![Came::default(); PARTITIONS])),
            brokers: (brokers.script().to_owned(), format!("{topic}-java")),
        };
        for _ in 0..MEMBERS {
            group.start_member(brokers, topic);
        }
        group
    }

    fn start_member(&mut self, brokers: &Brokers, topic: &str) {
        let session = format!("session.timeout.ms={}", SESSION.as_millis());
        let mut member = brokers
            .tool("console-consumer")
            .args(["--bootstrap-server", brokers.bootstrap(), "--topic", topic])
            .args(["--group", &self.brokers.1, "--from-beginning"])
            .args(["--consumer-property", "auto.commit.interval.ms=1000"])
            .args(["--consumer-property", &session])
            .args(["--property", "print.partition=true"])
            .args(["--property", "print.value=false"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = member.stdout.take().unwrap();
        let came = Arc::clone(&self.came);
        self.reading.spawn(async move {
            let mut lines = BufReader::with_capacity(1 << 16, out).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let number = line.strip_prefix("Partition:");
                let number = number.and_then(|number| number.trim().parse::<usize>().ok());
                if let Some(number) = number {
                    came.lock().unwrap()[number].now();
                }
            }
        });
        self.members.push(member);
    }

    /// Kills one member with SIGKILL, and starts another one in its place.
    pub(crate) async fn kill_one(&mut self, which: usize, brokers: &Brokers, topic: &str) {
        let mut member = self.members.remove(which % self.members.len());
        member.kill().await.unwrap();
        self.start_member(brokers, topic);
    }

    /// Waits until all members have joined.
    pub(crate) async fn until_it_joined(&self) {
        let (script, group) = &self.brokers;
        let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
        let begun = Instant::now();
        loop {
            let asked = tokio::process::Command::new(script)
                .args(["tool", "consumer-groups", "--bootstrap-server", &bootstrap])
                .args(["--describe", "--state", "--group", group])
                .output();
            let told = asked.await.unwrap();
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            let stable = told.lines().any(|line| {
                line.contains("Stable") && line.trim_end().ends_with(&MEMBERS.to_string())
            });
            if stable {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(120),
                "Java's group does not form: {told}"
            );
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Ends the group. Returns the longest time without a record of a partition.
    pub(crate) async fn stop(mut self) -> Duration {
        for member in &mut self.members {
            let _ = member.kill().await;
        }
        self.reading.shutdown().await;
        let came = self.came.lock().unwrap();
        assert!(
            came.iter().all(|came| came.last.is_some()),
            "Java's group read nothing"
        );
        let longest = came.iter().map(|came| came.longest);
        Duration::from_millis(longest.max().unwrap_or_default())
    }
}

/// The time of a partition's last record, and the longest time between two of its records, in
/// milliseconds.
#[derive(Clone, Copy, Default)]
struct Came {
    last: Option<u64>,
    longest: u64,
}

impl Came {
    fn now(&mut self) {
        let now = crate::now();
        let waited = self.last.map_or(0, |last| now.saturating_sub(last));
        self.longest = self.longest.max(waited);
        self.last = Some(now);
    }
}

const MEMBERS: usize = 3;
