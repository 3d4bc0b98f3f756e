//! The cluster under test, and helpers for the tests.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena_admin::{Admin, NewTopic};
use milena_broker::Broker;
use milena_client::Client;
use milena_client::consumer::{Consumer, ShutdownHandle};
use milena_core::{ConsumerRecord, Offset, Partition, ProducerRecord, Timestamp, TopicPartition};
use tokio::task::JoinHandle;

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) admin: Admin,
    /// The embedded broker. `None` on a real Kafka.
    pub(crate) broker: Option<Broker>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_brokers(1).await
    }

    /// Starts an embedded cluster of `count` brokers, or connects to the real Kafka.
    pub(crate) async fn with_brokers(count: usize) -> Self {
        let builder = Client::builder().client_id("verbs");
        let (builder, broker) = match std::env::var("MILENA_TEST_BOOTSTRAP") {
            Ok(bootstrap) if !bootstrap.is_empty() => (builder.bootstrap([bootstrap]), None),
            _ => {
                let broker = Broker::builder().brokers(count).start().await.unwrap();
                let builder = builder.bootstrap(broker.bootstrap());
                (builder.connector(broker.dialer()), Some(broker))
            }
        };
        let client = within(builder.connect()).await.unwrap();
        Self {
            admin: client.admin(),
            client,
            broker,
        }
    }

    /// Creates a topic that only this test uses, and returns its name.
    pub(crate) async fn topic(&self, partitions: i32) -> String {
        let name = unique("verbs");
        let topic = NewTopic::new(name.as_str()).partitions(partitions);
        self.create(topic.replication_factor(1)).await;
        until(async || {
            let described = self.admin.describe_topics([&*name]).await.unwrap();
            described.all().is_ok()
        })
        .await;
        name
    }

    /// Creates a topic.
    pub(crate) async fn create(&self, topic: NewTopic) {
        let created = self.admin.create_topics([topic]);
        within(created).await.unwrap().all().unwrap();
    }

    /// Writes `count` records to a partition. They are a second apart, and the last one is `ago`
    /// old.
    pub(crate) async fn fill(&self, topic: &str, partition: u32, count: u32, ago: Duration) {
        let producer = self.client.producer().build().unwrap();
        let last = Timestamp::now().to_millis() - i64::try_from(ago.as_millis()).unwrap();
        for number in 0..count {
            let before = i64::from(count - 1 - number) * 1000;
            let record = ProducerRecord::new(topic)
                .partition(partition)
                .value(format!("value {number}"))
                .timestamp(Timestamp::from_millis(last - before));
            within(producer.send(record)).await.unwrap();
        }
    }

    /// Starts a member of a group, which owns all partitions of the topic. Returns it after it has
    /// processed `count` records.
    pub(crate) async fn member(&self, group: &str, topic: &str, count: usize) -> Member {
        let consumer: Consumer = self.client.consumer(group).topics([topic]).build().unwrap();
        let stop = consumer.shutdown_handle();
        let (told, mut heard) = tokio::sync::mpsc::channel(1000);
        let handler = move |_: ConsumerRecord| {
            let told = told.clone();
            async move { told.send(()).await.unwrap() }
        };
        let task = tokio::spawn(async move {
            consumer.run(handler).await.unwrap();
        });
        for _ in 0..count {
            within(heard.recv()).await.unwrap();
        }
        Member { stop, task }
    }
}

pub(crate) struct Member {
    stop: ShutdownHandle,
    task: JoinHandle<()>,
}

impl Member {
    /// Stops the member. It commits and leaves the group.
    pub(crate) async fn leave(self) {
        self.stop.shutdown();
        within(self.task).await.unwrap();
    }
}

pub(crate) fn place(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, Partition::new(partition))
}

pub(crate) fn at(offset: u32) -> Offset {
    Offset::from(offset)
}

/// Returns a name that no other test uses, and no other run on the same cluster.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    format!("{what}-{run}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Awaits `future`. Fails the test if it takes longer than any step should.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    let deadline = Duration::from_secs(60);
    tokio::time::timeout(deadline, future)
        .await
        .expect("this step took longer than its deadline")
}

/// Repeats the question until the answer is true. The brokers of a real cluster learn of a change
/// one after the other.
pub(crate) async fn until(holds: impl AsyncFn() -> bool) {
    within(async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
