//! Churn on a real cluster. Members join, leave and are killed all the time. No record is lost or
//! skipped, and no partition has two owners.
//!
//! `MILENA_TEST_BOOTSTRAP` names the cluster. `MILENA_TEST_CHURN_SECONDS` sets the duration (20 by
//! default).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use milena_consumer::{Consumer, GroupProtocol, RebalanceListener};
use milena_core::{Event, Offset, Partition, ProducerRecord, TopicPartition};
use milena_pool::Cluster;
use milena_producer::Producer;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::bed::real;

const PARTITIONS: u32 = 16;
const MEMBERS: usize = 6;

/// Results of all members, under one clock.
#[derive(Default)]
struct Book {
    /// Processed offsets by partition.
    processed: Mutex<BTreeMap<u32, BTreeSet<i64>>>,
    /// Number of records that were processed more than once.
    repeats: Mutex<u64>,
    /// Number of the member that owns each partition.
    owners: Mutex<BTreeMap<TopicPartition, usize>>,
    /// Violations found so far. Empty at the end of a good run.
    wrong: Mutex<Vec<String>>,
}

impl Book {
    fn process(&self, partition: u32, offset: i64) {
        if !self
            .processed
            .lock()
            .entry(partition)
            .or_default()
            .insert(offset)
        {
            *self.repeats.lock() += 1;
        }
    }

    /// Checks that every record below a committed offset was processed, and that no committed
    /// offset went back.
    fn check_committed(
        &self,
        committed: &BTreeMap<TopicPartition, Option<Offset>>,
        last: &mut BTreeMap<u32, i64>,
    ) {
        for (place, offset) in committed {
            let Some(offset) = offset.map(Offset::to_wire) else {
                continue;
            };
            let partition = u32::try_from(place.partition.to_wire()).unwrap();
            let before = last.insert(partition, offset).unwrap_or(0);
            if offset < before {
                self.wrong
                    .lock()
                    .push(format!("{place} went back from {before} to {offset}"));
            }
            let processed = self.processed.lock();
            let done = processed
                .get(&partition)
                .map_or(0, |set| set.range(..offset).count());
            if done as i64 != offset {
                self.wrong.lock().push(format!(
                    "{place}: {offset} is committed, {done} are processed"
                ));
            }
        }
    }
}

/// The rebalance listener of one member. Other members may take its partitions once it is killed.
struct Owner {
    book: Arc<Book>,
    number: usize,
    killed: Arc<AtomicBool>,
}

impl RebalanceListener for Owner {
    async fn assigned(&self, partitions: &[TopicPartition]) {
        let mut owners = self.book.owners.lock();
        for place in partitions {
            if let Some(other) = owners.insert(place.clone(), self.number)
                && other != self.number
                && !self.killed.load(Ordering::Acquire)
            {
                self.book
                    .wrong
                    .lock()
                    .push(format!("{place} is with {other} and {}", self.number));
            }
        }
    }

    async fn revoked(&self, partitions: &[TopicPartition]) {
        let mut owners = self.book.owners.lock();
        for place in partitions {
            if owners.get(place) == Some(&self.number) {
                owners.remove(place);
            }
        }
    }

    async fn lost(&self, partitions: &[TopicPartition]) {
        self.revoked(partitions).await;
    }
}

struct Member {
    number: usize,
    consumer: Arc<Consumer>,
    task: JoinHandle<()>,
    killed: Arc<AtomicBool>,
    // A cluster handle of its own, as another process would have.
    cluster: Cluster,
}

async fn join(book: &Arc<Book>, topic: &str, protocol: GroupProtocol, number: usize) -> Member {
    let cluster = real::cluster().connect().await.unwrap();
    let killed = Arc::new(AtomicBool::new(false));
    let ear = Owner {
        book: Arc::clone(book),
        number,
        killed: Arc::clone(&killed),
    };
    let consumer = Consumer::builder(cluster.clone(), topic)
        .topics([topic])
        .group_protocol(protocol)
        .session_timeout(Duration::from_secs(6))
        .heartbeat_interval(Duration::from_millis(300))
        .commit_interval(Duration::from_millis(200))
        .rebalance_listener(ear)
        .add_observer(Arc::new(|_: &Event<'_>| {}));
    let consumer = Arc::new(consumer.build().unwrap());
    let (running, noted) = (Arc::clone(&consumer), Arc::clone(book));
    let task = tokio::spawn(async move {
        let handler = move |partition: Partition, offset: Offset| {
            let noted = Arc::clone(&noted);
            async move {
                noted.process(
                    u32::try_from(partition.to_wire()).unwrap(),
                    offset.to_wire(),
                );
            }
        };
        running.run(handler).await.unwrap();
    });
    Member {
        number,
        consumer,
        task,
        killed,
        cluster,
    }
}

impl Member {
    async fn leave(self) {
        self.consumer.close().await;
        self.task.await.unwrap();
        self.cluster.close().await;
    }

    /// Ends the member as a crash would.
    async fn kill(self, book: &Book) {
        self.killed.store(true, Ordering::Release);
        self.task.abort();
        let _ = self.task.await;
        drop(self.consumer);
        // The member does no more work. Other members may own its partitions once its session ends.
        book.owners.lock().retain(|_, owner| *owner != self.number);
        drop(self.cluster);
    }
}

async fn churn(protocol: GroupProtocol) {
    let topic = real::fresh("groups-churn");
    let admin = real::cluster().connect().await.unwrap();
    real::create_topic(&admin, &topic, PARTITIONS).await;

    let seconds = std::env::var("MILENA_TEST_CHURN_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let ends = Instant::now() + Duration::from_secs(seconds.unwrap_or(20));
    let book = Arc::new(Book::default());
    let writing = tokio::spawn({
        let (topic, cluster) = (topic.clone(), admin.clone());
        async move {
            let producer = Producer::builder(cluster).build().unwrap();
            let mut written = 0_i64;
            while Instant::now() < ends {
                for partition in 0..PARTITIONS {
                    let record = ProducerRecord::new(topic.as_str())
                        .partition(partition)
                        .value("v");
                    drop(producer.enqueue(record).await.unwrap());
                }
                written += 1;
                sleep(Duration::from_millis(5)).await;
            }
            producer.close(Duration::from_secs(30)).await.unwrap();
            written
        }
    });
    let (mut members, mut next) = (Vec::new(), 0);
    let (mut left, mut killed) = (0, 0);
    let mut last = BTreeMap::new();
    let places: Vec<_> = (0..PARTITIONS)
        .map(|p| TopicPartition::new(topic.as_str(), p))
        .collect();
    let watcher = Consumer::builder(admin.clone(), topic.as_str())
        .topics([topic.as_str()])
        .build()
        .unwrap();
    while Instant::now() < ends {
        while members.len() < MEMBERS {
            members.push(join(&book, &topic, protocol, next).await);
            next += 1;
        }
        sleep(Duration::from_millis(fastrand::u64(1_000..3_000))).await;
        let member = members.remove(fastrand::usize(..members.len()));
        if fastrand::bool() {
            member.leave().await;
            left += 1;
        } else {
            member.kill(&book).await;
            killed += 1;
        }
        if let Ok(committed) = watcher.committed(places.clone()).await {
            book.check_committed(&committed, &mut last);
        }
    }
    let written = writing.await.unwrap();
    let drained = Instant::now();
    let all = || {
        let processed = book.processed.lock();
        (0..PARTITIONS).all(|p| {
            processed
                .get(&p)
                .is_some_and(|set| set.len() as i64 == written)
        })
    };
    // Records that a killed member processed and did not commit are read again by the next owner,
    // once the session has ended.
    let draining = async {
        loop {
            let committed = watcher.committed(places.clone()).await.unwrap_or_default();
            let done = |offset: &Option<Offset>| offset.map(Offset::to_wire) == Some(written);
            if all() && committed.len() == places.len() && committed.values().all(done) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let ended = timeout(Duration::from_secs(60), draining).await;
    let drained = drained.elapsed();
    for member in members {
        member.leave().await;
    }
    let committed = watcher.committed(places).await.unwrap();
    book.check_committed(&committed, &mut last);
    let repeats = *book.repeats.lock();
    println!(
        "{protocol:?}: {next} members, {left} left, {killed} killed, {} records, {repeats} processed again, drained in {drained:?}",
        written * i64::from(PARTITIONS),
    );
    assert!(
        ended.is_ok(),
        "all is processed and committed within a minute"
    );
    assert_eq!(*book.wrong.lock(), Vec::<String>::new());
    assert!(
        last.values().all(|offset| *offset == written),
        "everything is committed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn classic_members_come_and_go_and_nothing_is_lost_or_owned_by_two() {
    churn(GroupProtocol::Classic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real Kafka; scripts/test-real-kafka runs it"]
async fn members_of_the_protocol_that_the_cluster_has_come_and_go_and_nothing_is_lost_or_owned_by_two()
 {
    churn(GroupProtocol::Auto).await;
}
