//! The cluster under test: the embedded broker over TCP, or a real Kafka.

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
    /// Where it listens.
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

/// A client on the cluster under test, and what a test needs around it.
pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) cluster: Box<dyn Cluster>,
}

impl World {
    /// The cluster that `MILENA_TEST_BOOTSTRAP` names, else an embedded broker of this test's own.
    pub(crate) async fn new() -> Self {
        Self::with(|broker| broker).await
    }

    /// As [`new`](Self::new), with an embedded broker set up like this.
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

    /// A topic of this test's own.
    pub(crate) async fn topic(&self, partitions: i32) -> TopicName {
        self.topic_with(NewTopic::new(unique("topic")).partitions(partitions))
            .await
    }

    /// A topic of this test's own, as given.
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

    /// The first `count` records of a topic, partition by partition in the order of the log.
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

    /// Processes a topic as a member of a group, beside the test.
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

/// A member of a group that processes beside the test.
pub(crate) struct Running {
    stop: ShutdownHandle,
    task: JoinHandle<Result<RunReport>>,
}

impl Running {
    /// Ends it in good order.
    pub(crate) async fn stop(self) -> Result<RunReport> {
        self.stop.shutdown();
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> Result<RunReport> {
        within(self.task)
            .await
            .expect("the member's task does not panic")
    }
}

/// A name that no other test uses, nor another run on the same cluster.
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let run = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
    format!("{what}-{run}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The longest that any step of the suite may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Awaits `future`, and fails the test where it takes longer than any step should.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("this step took longer than its deadline")
}
