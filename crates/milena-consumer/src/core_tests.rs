//! Tests of the start of lanes when an assignment and the start of a handler coincide.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use milena_core::{Gauge, Observers, TopicPartition};

use super::*;
use crate::assignment::Lanes;
use crate::partition::{FetchFrom, Partition};

/// Counts how often the lanes of each partition are started.
#[derive(Default)]
struct Counting(Mutex<BTreeMap<TopicPartition, usize>>);

impl Lanes for Counting {
    fn start(&self, partition: &Arc<Partition>) {
        let place = partition.place().clone();
        *self.0.lock().entry(place).or_default() += 1;
    }

    fn read_gauges(&self, _: &str, _: &mut dyn FnMut(Gauge<'_>)) {}

    fn route_name(&self, _: usize) -> Arc<str> {
        "".into()
    }
}

#[tokio::test]
async fn lanes_of_a_partition_start_once_however_an_assignment_and_a_run_meet() {
    const PARTITIONS: u32 = 3;
    let builder = milena_broker::Broker::builder().topic("orders", PARTITIONS);
    let broker = builder.start().await.unwrap();
    let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
    let cluster = cluster.connect().await.unwrap();
    let round = || {
        let settings = Settings::new(None, Observers::none());
        let core = Core::new(cluster.clone(), settings);
        let counting = Arc::new(Counting::default());
        let lanes: Arc<dyn Lanes> = counting.clone();
        let met = AtomicUsize::new(0);
        // It spins without a lock, so that both threads go on at the same moment.
        let meet = || {
            met.fetch_add(1, Ordering::AcqRel);
            while met.load(Ordering::Acquire) < 2 {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|threads| {
            threads.spawn(|| {
                meet();
                for partition in 0..PARTITIONS {
                    let place = TopicPartition::new("orders", partition);
                    core.assignment
                        .assign([(place, FetchFrom::At(0_u32.into()))]);
                }
            });
            threads.spawn(|| {
                meet();
                core.assignment
                    .process_by(&lanes, &core.commits, true)
                    .unwrap();
            });
        });
        let started = counting.0.lock();
        assert_eq!(started.len(), PARTITIONS as usize);
        assert!(started.values().all(|times| *times == 1), "{started:?}");
    };
    (0..3_000).for_each(|_| round());
}
