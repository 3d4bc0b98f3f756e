//! Members of other clients and of milena in one classic group. Each partition has one owner, and
//! every record is read.
//!
//! `MILENA_TEST_PYTHON` names a Python with those clients (`scripts/python-env` makes one).
//! `scripts/foreign-clients` runs this test.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use milena_broker::Broker;
use milena_consumer::{Consumer, GroupProtocol};
use milena_core::{Partition, Value};
use milena_pool::Cluster;
use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::bed::{LIMIT, eventually, fill};

const PARTITIONS: u32 = 6;

/// Output of a member of another client.
#[derive(Clone, Default)]
struct Said {
    /// Partitions that it owns now.
    owns: Arc<Mutex<BTreeSet<u32>>>,
    /// Records that it has read, by partition.
    read: Arc<Mutex<BTreeMap<u32, Vec<usize>>>>,
}

impl Said {
    fn note(&self, line: &str) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap();
        let numbers = words.map(|word| word.parse::<u32>().unwrap());
        if first == "owns" {
            *self.owns.lock() = numbers.collect();
        } else {
            let mut numbers = numbers;
            let value = numbers.next().unwrap() as usize;
            let partition = first.parse().unwrap();
            self.read.lock().entry(partition).or_default().push(value);
        }
    }

    fn start(&self, client: &str, bootstrap: &str, assignor: &str) -> Child {
        let python =
            std::env::var("MILENA_TEST_PYTHON").expect("MILENA_TEST_PYTHON names a Python");
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../scripts/python/group_member.py"
        );
        let mut child = Command::new(python)
            .args([script, client, bootstrap, "billing", "orders", assignor])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let said = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                said.note(&line);
            }
        });
        child
    }

    fn all(&self) -> usize {
        self.read.lock().values().map(Vec::len).sum()
    }
}

async fn together(client: &str, assignor: &str) {
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .topic("orders", PARTITIONS);
    let broker = broker.start().await.unwrap();
    let bootstrap = broker.bootstrap().join(",");
    let cluster = Cluster::builder(bootstrap.split(',').map(str::to_owned));
    let cluster = cluster.connect().await.unwrap();
    let ours: Arc<Mutex<BTreeMap<u32, Vec<usize>>>> = Arc::default();
    let consumer = Consumer::builder(cluster.clone(), "billing")
        .topics(["orders"])
        .group_protocol(GroupProtocol::Classic)
        .assignors([assignor])
        .heartbeat_interval(Duration::from_millis(300));
    let consumer = Arc::new(consumer.build().unwrap());
    let noted = Arc::clone(&ours);
    let running = Arc::clone(&consumer);
    let running = tokio::spawn(async move {
        let handler = move |partition: Partition, Value(value): Value| {
            let noted = Arc::clone(&noted);
            async move {
                let value = std::str::from_utf8(&value).unwrap().parse().unwrap();
                let partition = u32::try_from(partition.to_wire()).unwrap();
                noted.lock().entry(partition).or_default().push(value);
            }
        };
        running.run(handler).await
    });
    let owned = || -> BTreeSet<u32> {
        let assigned = consumer.assignment();
        let numbers = assigned
            .iter()
            .map(|place| u32::try_from(place.partition.to_wire()).unwrap());
        numbers.collect()
    };
    let count = || ours.lock().values().map(Vec::len).sum::<usize>();
    fill(&cluster, "orders", PARTITIONS, 0, 20).await;
    eventually("our member reads", || count() == 120).await;

    let theirs = Said::default();
    let mut foreign = theirs.start(client, &bootstrap, assignor);
    eventually("both have half", || {
        owned().len() == 3 && theirs.owns.lock().len() == 3
    })
    .await;
    assert!(
        owned().is_disjoint(&theirs.owns.lock()),
        "{client} {assignor}"
    );
    fill(&cluster, "orders", PARTITIONS, 20, 20).await;
    eventually("both read", || count() + theirs.all() >= 240).await;
    assert!(theirs.all() > 0 && count() > 120);

    // milena's member leaves, and the other client continues at its committed offsets.
    consumer.close().await;
    running.await.unwrap().unwrap();
    eventually("the other has all", || theirs.owns.lock().len() == 6).await;
    fill(&cluster, "orders", PARTITIONS, 40, 20).await;
    eventually("the other reads", || {
        theirs
            .read
            .lock()
            .values()
            .filter(|values| values.last() == Some(&59))
            .count()
            == 6
    })
    .await;
    drop(foreign.stdin.take());
    timeout(LIMIT, foreign.wait()).await.unwrap().unwrap();
    for partition in 0..PARTITIONS {
        let mut all = ours.lock().get(&partition).cloned().unwrap_or_default();
        all.extend(theirs.read.lock().get(&partition).into_iter().flatten());
        assert_eq!(
            all,
            (0..60).collect::<Vec<_>>(),
            "{client} {assignor}: partition {partition}"
        );
    }
    broker.shutdown().await;
}

#[tokio::test]
#[ignore = "needs other clients; scripts/foreign-clients runs it"]
async fn kafka_python_and_milena_share_a_group_by_each_assignor() {
    for assignor in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
        together("kafka-python", assignor).await;
    }
}

#[tokio::test]
#[ignore = "needs other clients; scripts/foreign-clients runs it"]
async fn librdkafka_and_milena_share_a_group_by_each_assignor() {
    for assignor in ["range", "roundrobin", "cooperative-sticky"] {
        together("confluent-kafka", assignor).await;
    }
}
