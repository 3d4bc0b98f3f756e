//! Partitions that other threads assign while a handler starts or runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use milena_consumer::{AssignedConsumer, Order, StartAt};
use milena_core::{ConsumerRecord, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::bed::bed;

const PARTITIONS: u32 = 6;
const EACH: usize = 14;

/// The records that handlers process now, and those that they have processed.
#[derive(Default)]
struct Work {
    /// The partitions and keys of the records that a handler processes now.
    busy: Mutex<BTreeSet<(i32, Vec<u8>)>>,
    /// The count of times that each record was processed, by partition and offset.
    done: Mutex<BTreeMap<(i32, i64), usize>>,
    /// The count of records that are not processed yet.
    left: AtomicUsize,
    /// Notified once `left` is 0.
    all: Notify,
}

impl Work {
    async fn take(&self, record: ConsumerRecord) {
        let partition = record.partition.to_wire();
        let key = (
            partition,
            record.key.as_deref().unwrap_or_default().to_vec(),
        );
        let alone = self.busy.lock().insert(key.clone());
        assert!(alone, "two handlers at once for one key");
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.busy.lock().remove(&key);
        let at = (partition, record.offset.to_wire());
        *self.done.lock().entry(at).or_default() += 1;
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.all.notify_one();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_partition_assigned_from_another_thread_while_a_run_starts_gets_one_set_of_lanes() {
    let bed = bed(PARTITIONS).await;
    bed.fill(PARTITIONS, 0, EACH).await;
    let cluster = bed.cluster("consumer").await;
    for round in 0..60 {
        let builder = AssignedConsumer::builder(cluster.clone()).order(Order::Key(4));
        let consumer = Arc::new(builder.build().unwrap());
        let work = Arc::new(Work::default());
        work.left
            .store(EACH * PARTITIONS as usize, Ordering::Release);
        let (assigning, begin) = (Arc::clone(&consumer), Arc::new(std::sync::Barrier::new(2)));
        let there = Arc::clone(&begin);
        // A plain thread, outside of any runtime.
        let thread = std::thread::spawn(move || {
            there.wait();
            for partition in 0..PARTITIONS {
                for _ in 0..round {
                    std::hint::spin_loop();
                }
                assigning.assign([(TopicPartition::new("orders", partition), StartAt::Beginning)]);
            }
        });
        let stop = consumer.shutdown_handle();
        let noted = Arc::clone(&work);
        let handler = move |record: ConsumerRecord| {
            let noted = Arc::clone(&noted);
            async move { noted.take(record).await }
        };
        let running = tokio::spawn(async move {
            begin.wait();
            consumer.run(handler).await
        });
        let ended = timeout(Duration::from_secs(20), work.all.notified()).await;
        thread.join().unwrap();
        stop.shutdown();
        let report = running.await.unwrap().unwrap();
        assert!(
            ended.is_ok(),
            "records are left in round {round}: {report:?}"
        );
        let done = work.done.lock();
        assert_eq!(done.len(), EACH * PARTITIONS as usize);
        assert!(done.values().all(|times| *times == 1), "{done:?}");
    }
}
