//! Reads the records of a real Kafka, among them transactions of another client.
//! `scripts/test-real-kafka` runs this test.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use milena_consumer::{AssignedConsumer, Consumer, IsolationLevel, StartAt};
use milena_core::{Timestamp, TopicPartition};
use milena_pool::Cluster;

use crate::bed::real;

const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the Python of `scripts/python-env`. Prints a note and returns `None` if there is none.
fn python() -> Option<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts");
    let made = Command::new(format!("{root}/python-env"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if made.status.success() {
        return Some(String::from_utf8(made.stdout).unwrap().trim().to_owned());
    }
    let required = std::env::var("MILENA_REQUIRE_KAFKA").as_deref() == Ok("1");
    assert!(!required, "no Python with Kafka clients is to be had");
    eprintln!("\n*** NOT RUN: no Python with Kafka clients is to be had ***\n");
    None
}

/// Another client that writes transactions.
struct Writer {
    /// The client's process.
    child: Child,
    /// Lines that the client prints.
    told: BufReader<std::process::ChildStdout>,
}

impl Writer {
    fn start(python: &str, topic: &str) -> Self {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../scripts/python/transactions.py"
        );
        let bootstrap = std::env::var("MILENA_TEST_BOOTSTRAP").unwrap();
        let mut child = Command::new(python)
            .args([script, &bootstrap, topic])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stdout.take().unwrap());
        Self { child, told }
    }

    fn hear(&mut self, expected: &str) {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), expected);
    }

    fn go_on(&mut self) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(b"go on\n").unwrap();
        input.flush().unwrap();
    }
}

async fn read(cluster: &Cluster, topic: &str, isolation: IsolationLevel) -> Vec<String> {
    let consumer = AssignedConsumer::builder(cluster.clone())
        .isolation_level(isolation)
        .build()
        .unwrap();
    consumer.assign([(TopicPartition::new(topic, 0), StartAt::Beginning)]);
    let mut values = Vec::new();
    loop {
        let some = consumer.next_batch(1_000, PATIENCE / 3).await.unwrap();
        if some.is_empty() {
            consumer.close().await;
            return values;
        }
        let texts = some.into_iter().map(|record| record.value.unwrap());
        values.extend(texts.map(|text| String::from_utf8(text.to_vec()).unwrap()));
    }
}

fn of<'a>(values: &'a [String], kind: &str) -> Vec<&'a str> {
    let of = values.iter().filter(|value| value.starts_with(kind));
    of.map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a real Kafka and Python: scripts/test-real-kafka"]
async fn transactions_that_another_client_wrote_are_read_as_their_markers_say() {
    let cluster = real::cluster().connect().await.unwrap();
    let Some(python) = python() else { return };
    let topic = real::fresh("transactions");
    let mut writer = Writer::start(&python, &topic);
    writer.hear("open");

    let seen = read(&cluster, &topic, IsolationLevel::ReadCommitted).await;
    let committed: Vec<_> = [0, 1, 2, 3, 4, 5, 6, 7, 9]
        .map(|n| format!("committed-{n}"))
        .to_vec();
    assert_eq!(of(&seen, "committed-"), committed);
    assert!(of(&seen, "aborted-").is_empty(), "{seen:?}");
    assert!(of(&seen, "open-").is_empty(), "{seen:?}");
    let before: Vec<_> = [0, 3, 4, 5, 6, 7].map(|n| format!("plain-{n}")).to_vec();
    assert_eq!(of(&seen, "plain-"), before, "up to the open transaction");

    let all = read(&cluster, &topic, IsolationLevel::ReadUncommitted).await;
    assert_eq!(of(&all, "aborted-").len(), 9);
    assert_eq!(of(&all, "open-"), ["open-0", "open-1"]);
    assert_eq!(all.len(), 9 + 9 + 2 + 7);

    let place = TopicPartition::new(topic.as_str(), 0);
    let consumer = AssignedConsumer::builder(cluster.clone()).build().unwrap();
    let stable = consumer.watermarks(&place).await.unwrap();
    writer.go_on();
    writer.hear("committed");
    let seen = read(&cluster, &topic, IsolationLevel::ReadCommitted).await;
    assert_eq!(of(&seen, "open-"), ["open-0", "open-1"]);
    assert_eq!(of(&seen, "plain-").len(), 7);
    assert!(consumer.watermarks(&place).await.unwrap().high > stable.high);
    let long_ago = [(place.clone(), Timestamp::from_millis(0))];
    let found = consumer.offsets_for_times(long_ago).await.unwrap();
    assert_eq!(found[&place].unwrap().offset.to_wire(), 0);
    assert!(writer.child.wait().unwrap().success());

    // A group passes aborted records and markers, and commits offsets after them.
    let group = real::fresh("group");
    let consumer = Consumer::builder(cluster.clone(), group)
        .topics([topic.as_str()])
        .build()
        .unwrap();
    let mut count = 0;
    while count < seen.len() {
        count += consumer.next_batch(100, PATIENCE).await.unwrap().len();
    }
    let end = consumer.watermarks(&place).await.unwrap().high;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        consumer
            .next_batch(1, Duration::from_millis(500))
            .await
            .unwrap()
            .is_empty()
    );
    consumer.commit().await.unwrap();
    let committed = consumer.committed([place.clone()]).await.unwrap();
    assert_eq!(committed[&place], Some(end));
    consumer.close().await;
    cluster.close().await;
}
