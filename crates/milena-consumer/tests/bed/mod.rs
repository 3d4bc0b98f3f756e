//! The test bed. It has a broker in memory, records in it, and consumers that note the records they
//! get.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod ear;
pub(crate) mod hostile;
pub(crate) mod members;
pub(crate) mod owners;
pub(crate) mod reading;
pub(crate) mod real;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use milena_broker::{Broker, BrokerBuilder};
use milena_consumer::{Consumer, ConsumerBuilder, GroupProtocol, RunReport, ShutdownHandle};
use milena_core::{Backoff, Event, Observer, Offset, Partition, ProducerRecord, Result};
use milena_pool::Cluster;
use milena_producer::Producer;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest wait for anything, in the clock of the test. A test that waits longer fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// A broker in memory that holds the topic `orders`.
pub(crate) struct Bed {
    pub(crate) broker: Broker,
}

/// Starts two brokers with the topic `orders` of `partitions` partitions.
pub(crate) async fn bed(partitions: u32) -> Bed {
    bed_with(partitions, |builder| builder).await
}

pub(crate) async fn bed_with(
    partitions: u32,
    change: impl FnOnce(BrokerBuilder) -> BrokerBuilder,
) -> Bed {
    let builder = Broker::builder().brokers(2).topic("orders", partitions);
    let broker = change(builder).start().await.unwrap();
    Bed { broker }
}

/// Starts beds as [`bed_with`] does, one for each protocol that members choose by themselves. The
/// first speaks the classic protocol, the second the consumer protocol.
pub(crate) async fn beds_with(
    partitions: u32,
    change: impl Fn(BrokerBuilder) -> BrokerBuilder,
) -> [Bed; 2] {
    [
        bed_with(partitions, |b| change(b).group_version(0)).await,
        bed_with(partitions, |b| change(b).group_version(1)).await,
    ]
}

impl Bed {
    /// Connects a client that shares nothing with the others, as another process would.
    pub(crate) async fn cluster(&self, client_id: &str) -> Cluster {
        Cluster::builder(self.broker.bootstrap())
            .connector(self.broker.dialer())
            .client_id(client_id)
            .backoff(Backoff::new(
                Duration::from_millis(50),
                Duration::from_millis(500),
            ))
            .connect()
            .await
            .unwrap()
    }

    /// Returns the builder of a consumer of the group `billing`.
    pub(crate) async fn builder(&self) -> ConsumerBuilder {
        self.builder_as("consumer").await
    }

    pub(crate) async fn builder_as(&self, client_id: &str) -> ConsumerBuilder {
        Consumer::builder(self.cluster(client_id).await, "billing").topics(["orders"])
    }

    /// Returns the builder of a member of the classic group `billing` that reads `orders`.
    pub(crate) async fn classic(&self, client_id: &str) -> ConsumerBuilder {
        let builder = self.builder_as(client_id).await;
        builder.group_protocol(GroupProtocol::Classic)
    }

    /// Returns the builder of a member of the classic group `billing` that reads these topics.
    pub(crate) async fn classic_of(&self, topics: &[&str]) -> ConsumerBuilder {
        let cluster = Cluster::builder(self.broker.bootstrap())
            .connector(self.broker.dialer())
            .metadata_max_age(Duration::from_secs(10));
        Consumer::builder(cluster.connect().await.unwrap(), "billing")
            .topics(topics.iter().copied())
            .group_protocol(GroupProtocol::Classic)
    }

    /// Writes records to the topic `orders`, as [`fill`] does.
    pub(crate) async fn fill(&self, partitions: u32, first: usize, count: usize) {
        let cluster = self.cluster("filler").await;
        fill(&cluster, "orders", partitions, first, count).await;
        cluster.close().await;
    }

    pub(crate) fn committed(&self, partition: u32) -> Option<i64> {
        let offset = self
            .broker
            .inspect()
            .committed("billing", "orders", partition);
        offset.map(Offset::to_wire)
    }
}

/// Writes `count` records to each partition of `topic`. Their values are numbers from `first` on.
pub(crate) async fn fill(
    cluster: &Cluster,
    topic: &str,
    partitions: u32,
    first: usize,
    count: usize,
) {
    let producer = Producer::builder(cluster.clone()).build().unwrap();
    let mut sent = Vec::new();
    for number in first..first + count {
        for partition in 0..partitions {
            let record = ProducerRecord::new(topic)
                .partition(partition)
                .key(format!("key-{}", number % 7))
                .value(number.to_string());
            sent.push(producer.enqueue(record).await.unwrap());
        }
    }
    for delivery in sent {
        delivery.await.unwrap();
    }
    producer.close(LIMIT).await.unwrap();
}

/// Records that handlers have seen, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Noted>);

/// Partition and number of each record, and a wake-up for tests that wait for more.
type Noted = (Mutex<Vec<(u32, usize)>>, Notify);

impl Seen {
    pub(crate) fn note_parts(&self, partition: Partition, value: &[u8]) {
        let value = std::str::from_utf8(value).unwrap().parse().unwrap();
        let partition = u32::try_from(partition.to_wire()).unwrap();
        self.0.0.lock().push((partition, value));
        self.0.1.notify_waiters();
    }

    pub(crate) fn len(&self) -> usize {
        self.0.0.lock().len()
    }

    pub(crate) fn of(&self, partition: u32) -> Vec<usize> {
        let all = self.0.0.lock();
        all.iter()
            .filter(|(p, _)| *p == partition)
            .map(|(_, v)| *v)
            .collect()
    }

    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let woken = self.0.1.notified();
                if done(self) {
                    return;
                }
                woken.await;
            }
        };
        let ended = timeout(LIMIT, waiting).await;
        ended.unwrap_or_else(|_| panic!("never came: {what}; seen {}", self.len()));
    }

    pub(crate) async fn until_len_or_end(&self, len: usize, running: &Running) {
        eventually("records, or the end", || {
            self.len() >= len || running.is_over()
        })
        .await;
    }

    pub(crate) async fn until_len(&self, len: usize) {
        self.until(&format!("{len} records"), |seen| seen.len() >= len)
            .await;
    }
}

/// A consumer that runs until it is told to end.
pub(crate) struct Running {
    /// Ends the consumer in order.
    pub(crate) stop: ShutdownHandle,
    /// The task that runs it.
    task: JoinHandle<Result<RunReport>>,
}

impl Running {
    pub(crate) fn spawn(
        stop: ShutdownHandle,
        run: impl Future<Output = Result<RunReport>> + Send + 'static,
    ) -> Self {
        let task = tokio::spawn(run);
        Self { stop, task }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    pub(crate) async fn end(self) -> RunReport {
        self.stop.shutdown();
        self.ended().await.unwrap()
    }

    pub(crate) async fn ended(self) -> Result<RunReport> {
        timeout(LIMIT, self.task)
            .await
            .expect("the run ends")
            .unwrap()
    }

    /// Ends the consumer as a crash would, without a request to the broker.
    pub(crate) fn crash(self) {
        self.task.abort();
    }
}

/// Runs a handler that notes each record and acknowledges it.
pub(crate) fn run_noting(builder: ConsumerBuilder, seen: &Seen) -> Running {
    let seen = seen.clone();
    run(
        builder,
        move |partition: Partition, milena_core::Value(value): milena_core::Value| {
            let seen = seen.clone();
            async move { seen.note_parts(partition, &value) }
        },
    )
}

/// Runs a handler.
pub(crate) fn run<A: Send + 'static, H: milena_core::Handler<A>>(
    builder: ConsumerBuilder,
    handler: H,
) -> Running {
    let consumer = builder.build().unwrap();
    let stop = consumer.shutdown_handle();
    let task = tokio::spawn(async move { consumer.run(handler).await });
    Running { stop, task }
}

/// Waits until `done` returns true. Asks again whenever the clock has moved a little.
pub(crate) async fn eventually(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = timeout(LIMIT, waiting).await;
    ended.unwrap_or_else(|_| panic!("never came: {what}"));
}

/// Notes the debug text of each event.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<String>>>);

impl Observer for Events {
    fn on(&self, event: &Event<'_>) {
        self.0.lock().push(format!("{event:?}"));
    }
}

impl Events {
    /// Returns the sum of the numbers after `key` in all events that contain `word`.
    pub(crate) fn sum(&self, word: &str, key: &str) -> usize {
        let all = self.0.lock();
        let number = |event: &String| {
            let (_, rest) = event.split_once(key)?;
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())].parse::<usize>().ok()
        };
        let fits = all.iter().filter(|event| event.contains(word));
        fits.filter_map(number).sum()
    }

    /// Returns the number of events that contain all of these words.
    pub(crate) fn count(&self, words: &[&str]) -> usize {
        let all = self.0.lock();
        let fits = |event: &&String| words.iter().all(|word| event.contains(word));
        all.iter().filter(fits).count()
    }
}
