//! A broker in memory, a client connected to it, and a clock for both.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milena_broker::{Broker, BrokerBuilder};
use milena_client::consumer::{ConsumerBuilder, IntoRoutes, StartAt};
use milena_client::core::{
    Backoff, BoxError, ConsumerRecord, Error, ErrorKind, Incoming, Offset, Outcome, ProducerRecord,
    RecordMetadata, Result, Routes, Timestamp, TopicName, TopicPartition,
};
use milena_client::producer::Producer;
use milena_client::{Client, ClientBuilder};
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service;

use crate::processed::Journal;
use crate::running::Running;
use crate::watched::Watched;

/// An embedded broker in memory and a client connected to it.
///
/// The broker, the clients and everything made by them read one wall clock. It begins at 2020-01-01
/// and follows tokio's clock. In a paused clock, time passes exactly as the test lets it.
pub struct Kit {
    /// The embedded broker.
    broker: Broker,
    /// The client, connected to `broker`.
    client: Client,
    /// The producer of `send` and `feed`.
    producer: Producer,
    /// The wall clock of everything in the kit.
    clock: Clock,
}

type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A builder of a [`Kit`].
#[must_use = "nothing happens before `start`"]
pub struct KitBuilder {
    broker: BrokerBuilder,
}

impl KitBuilder {
    /// Adds a topic with `partitions` partitions. The broker creates no topics by itself.
    pub fn topic(mut self, name: impl Into<String>, partitions: u32) -> Self {
        self.broker = self.broker.topic(name, partitions);
        self
    }

    /// Sets the number of brokers in the cluster. Default 1.
    pub fn brokers(mut self, count: usize) -> Self {
        self.broker = self.broker.brokers(count);
        self
    }

    /// Changes any other setting of the broker.
    pub fn broker(mut self, change: impl FnOnce(BrokerBuilder) -> BrokerBuilder) -> Self {
        self.broker = change(self.broker);
        self
    }

    /// Starts the broker and connects the client.
    ///
    /// # Errors
    /// An error if the broker cannot start with these settings.
    pub async fn start(self) -> Result<Kit> {
        let began = Instant::now();
        let clock: Clock = Arc::new(move || {
            let passed = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
            Timestamp::from_millis(BEGINNING.saturating_add(passed))
        });
        let wall = Arc::clone(&clock);
        let broker = self.broker.clock(move || wall()).start().await?;
        let client = on(&broker, &clock).connect().await?;
        let producer = client.producer().build()?;
        Ok(Kit {
            broker,
            client,
            producer,
            clock,
        })
    }
}

impl Kit {
    /// Creates a builder of a kit with one broker and no topics.
    pub fn builder() -> KitBuilder {
        KitBuilder {
            broker: Broker::builder(),
        }
    }

    /// Returns the broker, to add faults, to read its journal, and to inspect its content.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Returns the client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Connects another client to the same broker, like another process.
    ///
    /// # Errors
    /// An error if the broker is down.
    pub async fn another_client(&self) -> Result<Client> {
        on(&self.broker, &self.clock).connect().await
    }

    /// Returns a producer, for dead letter layers and handlers.
    #[must_use]
    pub fn producer(&self) -> Producer {
        self.producer.clone()
    }

    /// Returns the present time of the kit's wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Sends a record and waits until the broker has acknowledged it.
    ///
    /// Key and value are copied, so they may be borrowed, as in `&format!("order-{n}")`.
    ///
    /// # Errors
    /// The same as [`Producer::send`].
    pub async fn send(
        &self,
        topic: impl Into<TopicName>,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<RecordMetadata> {
        let copy = Bytes::copy_from_slice;
        let record = ProducerRecord::new(topic.into())
            .key(copy(key.as_ref()))
            .value(copy(value.as_ref()));
        self.producer.send(record).await
    }

    /// Sends a complete record and waits until the broker has acknowledged it.
    ///
    /// # Errors
    /// The same as [`Producer::send`].
    pub async fn feed(&self, record: impl Into<ProducerRecord>) -> Result<RecordMetadata> {
        self.producer.send(record.into()).await
    }

    /// Runs a handler, a stack or a router in a group, in a task of its own. Offsets are committed
    /// every 100 ms.
    ///
    /// # Errors
    /// An error for a wrong setting.
    pub fn run<M, X, I>(&self, group: &str, topics: I, handler: X) -> Result<Running>
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
        M: 'static,
        X: IntoRoutes<M> + Send + 'static,
        X::Routes: Send + Sync + 'static,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        self.run_with(group, topics, handler, |consumer| consumer)
    }

    /// Runs a handler like [`run`](Self::run), with other settings of the consumer.
    ///
    /// # Errors
    /// An error for a wrong setting.
    pub fn run_with<M, X, I>(
        &self,
        group: &str,
        topics: I,
        handler: X,
        change: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder,
    ) -> Result<Running>
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
        M: 'static,
        X: IntoRoutes<M> + Send + 'static,
        X::Routes: Send + Sync + 'static,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        let consumer = self.client.consumer(group).topics(topics);
        let consumer = consumer.commit_interval(Duration::from_millis(100));
        let consumer = change(consumer).build()?;
        let stop = consumer.shutdown_handle();
        let journal = Journal::new();
        let routes = Watched::new(handler.into_routes(), journal.clone());
        let task = tokio::spawn(async move { consumer.run(routes).await });
        Ok(Running {
            stop,
            task,
            journal,
        })
    }

    /// Returns the committed offset of the group for a partition. `None` if there is none.
    #[must_use]
    pub fn committed_at(&self, group: &str, topic: &str, partition: u32) -> Option<Offset> {
        self.broker.inspect().committed(group, topic, partition)
    }

    /// Returns the records that a topic holds now. The records of a partition come in its order.
    ///
    /// It reads the memory of the embedded broker and never waits, so it is not `async`. To wait
    /// for records, use [`read`](Self::read).
    ///
    /// # Errors
    /// An error if a batch cannot be read.
    pub fn records(&self, topic: &str) -> Result<Vec<ConsumerRecord>> {
        let inspect = self.broker.inspect();
        let partitions = 0..inspect.partitions(topic);
        let read: Result<Vec<_>> = partitions
            .map(|partition| inspect.records(topic, partition))
            .collect();
        Ok(read?.into_iter().flatten().collect())
    }

    /// Returns the time since the start of the kit.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now().since(Timestamp::from_millis(BEGINNING))
    }

    /// Returns the number of records of a topic that the group has committed, in all partitions
    /// together.
    #[must_use]
    pub fn committed(&self, group: &str, topic: &str) -> u64 {
        let inspect = self.broker.inspect();
        let of = |partition| inspect.committed(group, topic, partition);
        let offsets = (0..inspect.partitions(topic)).filter_map(of);
        offsets.map(|offset| offset.to_wire().unsigned_abs()).sum()
    }

    /// Waits until the group has committed `count` records of a topic, in all partitions together.
    ///
    /// # Panics
    /// If that takes longer than [`PATIENCE`](Self::PATIENCE).
    pub async fn until_committed(&self, group: &str, topic: &str, count: u64) {
        let waiting = async {
            while self.committed(group, topic) < count {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let ended = timeout(Self::PATIENCE, waiting).await;
        let now = self.committed(group, topic);
        assert!(
            ended.is_ok(),
            "the group `{group}` has committed {now} of {count} records of `{topic}`"
        );
    }

    /// Returns the first `count` records of a topic, and waits for them. The records of a partition
    /// come in its order.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] with the number of records read, if the next one does not arrive
    /// within [`PATIENCE`](Self::PATIENCE). For other errors see
    /// [`AssignedConsumer::recv`](milena_client::consumer::AssignedConsumer::recv).
    pub async fn read(&self, topic: &str, count: usize) -> Result<Vec<ConsumerRecord>> {
        let consumer = self.client.assigned_consumer().build()?;
        let place = |partition| (TopicPartition::new(topic, partition), StartAt::Beginning);
        consumer.assign((0..self.broker.inspect().partitions(topic)).map(place));
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            let received = timeout(Self::PATIENCE, consumer.recv()).await;
            records.push(received.map_err(|_| {
                let what = format!("{} of {count} records arrived", records.len());
                Error::new(ErrorKind::Timeout, what).topic(topic)
            })??);
        }
        consumer.close().await;
        Ok(records)
    }

    /// Closes the client and shuts the broker down.
    pub async fn close(self) {
        self.client.close().await;
        self.broker.shutdown().await;
    }

    /// The longest time that the kit waits for anything, ten minutes of the paused clock.
    pub const PATIENCE: Duration = Duration::from_secs(600);
}

fn on(broker: &Broker, clock: &Clock) -> ClientBuilder {
    let wall = Arc::clone(clock);
    let backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
    let builder = Client::builder()
        .bootstrap(broker.bootstrap())
        .clock(move || wall());
    builder.connector(broker.dialer()).backoff(backoff)
}

/// 2020-01-01 00:00:00 UTC, in milliseconds.
pub(crate) const BEGINNING: i64 = 1_577_836_800_000;
