//! The cluster under test, which is the embedded broker over TCP or a real Kafka.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena::admin::NewTopic;
use milena::consumer::IntoRoutes;
use milena::{
    BoxError, Client, ConsumerRecord, Incoming, Outcome, Partition, Result, Routes, RunReport,
    ShutdownHandle, StartAt, TopicName, TopicPartition,
};
use milena_broker::{Broker, BrokerBuilder};
use tokio::task::JoinHandle;
use tower::Service;

/// A cluster that the suite can run on.
pub(crate) trait Cluster: Send + Sync {
    /// Returns its addresses.
    fn bootstrap(&self) -> Vec<String>;
}

struct Embedded(Broker);

impl Cluster for Embedded {
    fn bootstrap(&self) -> Vec<String> {
        self.0.bootstrap()
    }
}

struct Real(String);

impl Cluster for Real {
    fn bootstrap(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// A client of the cluster under test, and the cluster itself.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) cluster: Box<dyn Cluster>,
}

impl World {
    /// Connects to the cluster that `MILENA_TEST_BOOTSTRAP` names, or else to an embedded broker of
    /// this test.
    pub(crate) async fn new() -> Self {
        Self::with(|broker| broker).await
    }

    /// Connects like [`new`](Self::new), with changed settings of the embedded broker.
    pub(crate) async fn with(set: impl FnOnce(BrokerBuilder) -> BrokerBuilder) -> Self {
        let cluster: Box<dyn Cluster> = match std::env::var("MILENA_TEST_BOOTSTRAP") {
            Ok(bootstrap) if !bootstrap.is_empty() => Box::new(Real(bootstrap)),
            _ => Box::new(Embedded(
                set(Broker::builder())
                    .listen("127.0.0.1:0")
                    .initial_rebalance_delay(Duration::ZERO)
                    .start()
                    .await
                    .expect("the embedded broker starts"),
            )),
        };
        let client = Client::builder()
            .bootstrap(cluster.bootstrap())
            .client_id("behaviour")
            .connect();
        let client = within(client).await.expect("the cluster answers");
        Self { client, cluster }
    }

    /// Creates a topic for this test only.
    pub(crate) async fn topic(&self, partitions: i32) -> TopicName {
        self.topic_with(NewTopic::new(unique("topic")).partitions(partitions))
            .await
    }

    /// Creates the given topic, for this test only.
    pub(crate) async fn topic_with(&self, topic: NewTopic) -> TopicName {
        let created = within(
            self.client
                .admin()
                .create_topics([topic.replication_factor(1)]),
        )
        .await
        .unwrap()
        .all()
        .unwrap();
        created[0].name.clone()
    }

    /// Reads the first `count` records of a topic, by partition in the order of the log.
    pub(crate) async fn read(&self, topic: &TopicName, count: usize) -> Vec<ConsumerRecord> {
        let consumer = self.client.assigned_consumer().build().unwrap();
        let partitions = within(consumer.partitions_for(topic.clone()))
            .await
            .unwrap();
        let place = |partition: Partition| TopicPartition::new(topic.clone(), partition);
        consumer.assign(
            partitions
                .into_iter()
                .map(|partition| (place(partition), StartAt::Beginning)),
        );
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            records.push(within(consumer.recv()).await.unwrap());
        }
        within(consumer.close()).await;
        records
    }

    /// Processes a topic as a member of a group, in a task of its own.
    pub(crate) fn run<M, X>(&self, topic: &TopicName, group: &str, handler: X) -> Running
    where
        M: 'static,
        X: IntoRoutes<M> + Send + 'static,
        X::Routes: Send + Sync + 'static,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        let consumer = self.client.consumer(group).topics([topic.clone()]);
        let consumer = consumer
            .commit_interval(Duration::from_millis(100))
            .build()
            .unwrap();
        let stop = consumer.shutdown_handle();
        let task = tokio::spawn(async move { consumer.run(handler).await });
        Running { stop, task }
    }
}

/// A member of a group that runs in a task next to the test.
pub(crate) struct Running {
    stop: ShutdownHandle,
    task: JoinHandle<Result<RunReport>>,
}

impl Running {
    /// Shuts the member down in order.
    pub(crate) async fn stop(self) -> Result<RunReport> {
        self.stop.shutdown();
        self.ended().await
    }

    /// Waits until the member ends by itself.
    pub(crate) async fn ended(self) -> Result<RunReport> {
        within(self.task)
            .await
            .expect("the member's task does not panic")
    }
}

/// Returns a name that no other test uses, and no other run on the same cluster.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    format!("{what}-{run}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The longest that any step of the suite may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Awaits `future`. Fails the test if that takes longer than any step may.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("this step took longer than its deadline")
}
