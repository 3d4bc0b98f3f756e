//! The log as Java's consumer reads it, compared with the outcomes of the producer.

use std::collections::HashMap;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::PARTITIONS;
use crate::brokers::Brokers;
use crate::produce::{Outcome, Outcomes};

/// A record, by the task that wrote it and its number in that task.
type Record = (usize, usize);

/// The records of each partition, by offset.
pub(crate) struct Log(pub(crate) Vec<HashMap<u64, Record>>);

/// Reads the topic to its end with `read_committed`.
pub(crate) async fn read(brokers: &Brokers, topic: &str, outcomes: &Outcomes) -> Log {
    let mut reading = brokers
        .tool("console-consumer")
        .args(["--bootstrap-server", brokers.bootstrap(), "--topic", topic])
        .args(["--from-beginning", "--timeout-ms", "30000"])
        .args(["--isolation-level", "read_committed"])
        .args(["--property", "print.partition=true"])
        .args(["--property", "print.offset=true"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::with_capacity(1 << 20, reading.stdout.take().unwrap()).lines();
    let mut log = vec![HashMap::new(); PARTITIONS];
    let mut least = outcomes.count(|outcome| matches!(outcome, Outcome::Delivered(..)));
    while let Some(line) = lines.next_line().await.unwrap() {
        let Some((partition, offset, record)) = parse(&line) else {
            continue;
        };
        log[partition].insert(offset, record);
        least = least.saturating_sub(1);
    }
    println!("the log was read; {least} delivered records fewer than there should be");
    Log(log)
}

/// Parses a line such as `Partition:3 Offset:17 1:42:xxx`, with tabs between the parts.
fn parse(line: &str) -> Option<(usize, u64, Record)> {
    let mut parts = line.split('\t');
    let partition = parts.next()?.strip_prefix("Partition:")?.parse().ok()?;
    let offset = parts.next()?.strip_prefix("Offset:")?.parse().ok()?;
    let mut value = parts.next()?.split(':');
    let task = value.next()?.parse().ok()?;
    Some((partition, offset, (task, value.next()?.parse().ok()?)))
}

impl Log {
    /// Returns the differences between the log and the outcomes.
    pub(crate) fn check(&self, outcomes: &Outcomes) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut found: HashMap<Record, Vec<(u32, u64)>> = HashMap::new();
        for (partition, records) in self.0.iter().enumerate() {
            let mut offsets: Vec<_> = records.keys().copied().collect();
            offsets.sort_unstable();
            let mut latest: HashMap<usize, usize> = HashMap::new();
            for offset in offsets {
                let record = records[&offset];
                found
                    .entry(record)
                    .or_default()
                    .push((partition as u32, offset));
                let before = latest.insert(record.0, record.1);
                if before.is_some_and(|before| before >= record.1) {
                    wrong.push(format!(
                        "{record:?} at {partition}@{offset} comes after {before:?}"
                    ));
                }
            }
        }
        for (task, numbers) in outcomes.0.iter().enumerate() {
            for (number, outcome) in numbers.iter().enumerate() {
                let places = found.get(&(task, number)).map_or(&[][..], Vec::as_slice);
                let right = match outcome {
                    Outcome::Delivered(partition, offset) => places == [(*partition, *offset)],
                    Outcome::NotWritten => places.is_empty(),
                    Outcome::PossiblyWritten => places.len() <= 1,
                    Outcome::Open => false,
                };
                if !right {
                    wrong.push(format!(
                        "{task}:{number} is {outcome:?}, and in the log at {places:?}"
                    ));
                }
            }
        }
        wrong
    }
}
