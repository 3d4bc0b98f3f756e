//! Handlers that take too long, and the ways in which a consumer ends. It ends in order, within its
//! deadline, at once, or by being dropped.

use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, Fault};
use milena_consumer::{
    AssignedConsumer, GroupProtocol, LaneStopPolicy, Order, StartAt, StuckPolicy,
};
use milena_core::{ErrorKind, Event, Key, Observer, Offset, TopicPartition};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::{LIMIT, Seen, bed, eventually, run, run_noting};

#[derive(Default)]
struct Stuck(Mutex<Vec<(i64, String, u64)>>);

impl Observer for Stuck {
    fn on(&self, event: &Event<'_>) {
        if let Event::HandlerStuck {
            offset,
            route,
            elapsed,
            ..
        } = event
        {
            let told = (*offset, (*route).to_owned(), elapsed.as_secs());
            self.0.lock().push(told);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_is_reported_by_name_and_offset_and_may_end() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let told = Arc::new(Stuck::default());
    let builder = bed.builder().await.add_observer(told.clone());
    let slow = async |offset: Offset| {
        if offset.to_wire() == 2 {
            sleep(Duration::from_secs(25)).await;
        }
    };
    let running = run(builder.max_processing_time(Duration::from_secs(10)), slow);
    eventually("all is committed", || bed.committed(0) == Some(5)).await;
    running.end().await;
    let told = told.0.lock();
    let times: Vec<_> = told
        .iter()
        .map(|(offset, _, secs)| (*offset, *secs))
        .collect();
    assert_eq!(
        times,
        [(2, 10), (2, 20)],
        "once each time as much has passed"
    );
    assert!(!told[0].1.is_empty(), "the route has a name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_blocks_its_thread_is_reported_and_holds_no_other_partition() {
    let bed = bed(2).await;
    bed.fill(2, 0, 5).await;
    let told = Arc::new(Stuck::default());
    let builder = bed.builder().await.add_observer(told.clone());
    let others = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&others);
    let blocking = move |partition: milena_core::Partition, offset: Offset| {
        let counted = Arc::clone(&counted);
        async move {
            match (partition.index(), offset.to_wire()) {
                (0, 2) => {
                    // Block until the other partition is done, which must not wait for this one.
                    let began = std::time::Instant::now();
                    while *counted.lock() < 5 && began.elapsed() < LIMIT {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    std::thread::sleep(Duration::from_millis(1_200));
                }
                (0, _) => {}
                _ => *counted.lock() += 1,
            }
        }
    };
    let running = run(
        builder.max_processing_time(Duration::from_secs(1)),
        blocking,
    );
    eventually("all is committed", || {
        (bed.committed(0), bed.committed(1)) == (Some(5), Some(5))
    })
    .await;
    assert_eq!(*others.lock(), 5);
    running.end().await;
    let told = told.0.lock();
    assert!(
        told.iter()
            .any(|(offset, _, secs)| (*offset, *secs) >= (2, 1)),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_too_long_stops_its_lane_where_the_policy_says() {
    let stuck = async |offset: Offset| {
        if offset.to_wire() == 2 {
            std::future::pending::<()>().await;
        }
    };
    let bed_of = bed(1).await;
    bed_of.fill(1, 0, 5).await;
    let builder = bed_of.builder().await.on_stuck(StuckPolicy::StopLane);
    let builder = builder
        .max_processing_time(Duration::from_secs(10))
        .drain_timeout(Duration::from_secs(5));
    let error = run(builder, stuck).ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.place().offset, Some(2.into()));
    assert_eq!(bed_of.committed(0), Some(2));

    let bed = bed(2).await;
    bed.fill(2, 0, 5).await;
    let builder = bed.builder().await.on_stuck(StuckPolicy::StopLane);
    let builder = builder
        .max_processing_time(Duration::from_secs(10))
        .on_lane_stop(LaneStopPolicy::Pause)
        .drain_timeout(Duration::from_secs(5));
    let one = async |partition: milena_core::Partition, offset: Offset| {
        if (partition.index(), offset.to_wire()) == (0, 2) {
            std::future::pending::<()>().await;
        }
    };
    let running = run(builder, one);
    sleep(Duration::from_secs(30)).await;
    bed.fill(2, 5, 5).await;
    eventually("the other goes on", || bed.committed(1) == Some(10)).await;
    assert_eq!(bed.committed(0), Some(2));
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_slow_key_holds_neither_other_keys_nor_other_partitions() {
    let bed = bed(2).await;
    bed.fill(2, 0, 70).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&done);
    let builder = bed.builder().await.order(Order::Key(64));
    let running = run(
        builder,
        move |partition: milena_core::Partition, Key(key): Key| {
            let noted = Arc::clone(&noted);
            async move {
                if partition.index() == 0 && &key[..] == b"key-3" {
                    std::future::pending::<()>().await;
                }
                noted.lock().push((partition.index(), key));
            }
        },
    );
    // Ten of the seventy records have the slow key. By chance of the hash, its lane may be shared
    // with another key.
    eventually("the others are done", || {
        let done = done.lock();
        let of = |partition| done.iter().filter(|(p, _)| *p == partition).count();
        of(1) == 70 && of(0) >= 40
    })
    .await;
    running.crash();
}

#[tokio::test(start_paused = true)]
async fn a_slow_key_with_much_behind_it_holds_no_other_key_of_its_partition() {
    let bed = bed(1).await;
    bed.fill(1, 0, 1_400).await; // seven keys in turn
    let done = Arc::new(Mutex::new(0));
    let noted = Arc::clone(&done);
    let builder = bed.builder().await.order(Order::Key(8));
    let running = run(builder, move |Key(key): Key| {
        let noted = Arc::clone(&noted);
        async move {
            if &key[..] == b"key-3" {
                std::future::pending::<()>().await;
            }
            *noted.lock() += 1;
        }
    });
    eventually("all others are done", || *done.lock() == 1_200).await;
    assert!(bed.committed(0).unwrap_or(0) <= 3, "the slow one is not");
    running.crash();
}

#[tokio::test(start_paused = true)]
async fn a_seek_overtakes_what_waits_for_its_lane() {
    let bed = bed(1).await;
    bed.fill(1, 0, 1_400).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&done);
    let builder = bed.builder().await.order(Order::Key(4));
    let consumer = Arc::new(builder.build().unwrap());
    let stop = consumer.shutdown_handle();
    let work = move |offset: Offset| {
        let noted = Arc::clone(&noted);
        async move {
            noted.lock().push(offset.to_wire());
            sleep(Duration::from_secs(10)).await;
        }
    };
    let running = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.run(work).await }
    });
    eventually("it is at work", || done.lock().len() >= 3).await;
    let place = TopicPartition::new("orders", 0);
    consumer.seek(&place, Offset::from(1_399_u32)).unwrap();
    let begun = done.lock().len();
    eventually("the last is committed", || bed.committed(0) == Some(1_400)).await;
    assert_eq!(
        done.lock()[begun..],
        [1_399],
        "what waited is not processed"
    );
    stop.shutdown();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_drains_commits_leaves_and_then_returns() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let running = run(
        bed.builder().await.group_protocol(GroupProtocol::Classic),
        async |_: Offset| {
            sleep(Duration::from_secs(4)).await;
        },
    );
    sleep(Duration::from_secs(6)).await;
    let began = Instant::now();
    let report = running.end().await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "only the record at work"
    );
    assert_eq!((report.processed, bed.committed(0)), (2, Some(2)));
    assert_eq!(bed.broker.journal().requests(ApiKey::LeaveGroup).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn closing_keeps_one_deadline_whatever_hangs() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let builder = bed.builder().await.shutdown_timeout(Duration::from_secs(8));
    let running = run(builder, async |_: Offset| {
        std::future::pending::<()>().await;
    });
    sleep(Duration::from_secs(3)).await;
    for (node, _) in bed.broker.addresses() {
        bed.broker
            .faults()
            .add(Fault::silence().node(node).always());
    }
    let began = Instant::now();
    let report = running.end().await;
    assert_eq!(report.processed, 0);
    assert!(
        began.elapsed() <= Duration::from_secs(9),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_ends_at_once() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let running = run(bed.builder().await, async |_: Offset| {
        std::future::pending::<()>().await;
    });
    sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    let stop = running.stop.clone();
    stop.signal();
    sleep(Duration::from_secs(2)).await;
    assert!(stop.is_shutting_down());
    stop.signal();
    let report = running.ended().await.unwrap();
    assert_eq!((report.processed, bed.committed(0).unwrap_or(0)), (0, 0));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_ends_with_its_consumer_wherever_it_waits() {
    let bed = bed(1).await;
    let consumer = Arc::new(bed.builder().await.build().unwrap());
    let waiting = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.recv().await }
    });
    sleep(Duration::from_secs(2)).await;
    consumer.close().await;
    let ended = timeout(LIMIT, waiting).await.unwrap().unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(
        consumer.recv_batch().await.unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[test]
fn a_consumer_may_be_dropped_anywhere_even_outside_its_runtime_and_after_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (unused, group, assigned, pending) = runtime.block_on(async {
        let bed = bed(2).await;
        bed.fill(2, 0, 50).await;
        let unused = bed.builder_as("unused").await.build().unwrap();
        let group = bed.builder_as("group").await.build().unwrap();
        let record = timeout(LIMIT, group.recv()).await.unwrap().unwrap();
        let pending = group.commit_record_async(&record).unwrap();
        let assigned = AssignedConsumer::builder(bed.cluster("assigned").await)
            .build()
            .unwrap();
        assigned.assign([(TopicPartition::new("orders", 0), StartAt::Beginning)]);
        timeout(LIMIT, assigned.recv()).await.unwrap().unwrap();
        (unused, group, assigned, pending)
    });
    let began = std::time::Instant::now();
    drop(group);
    runtime.shutdown_background();
    drop(assigned);
    drop(unused);
    drop(pending);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_at_any_moment_leaves_nothing_committed_that_was_not_done() {
    for millis in [0, 1, 5, 20, 60, 150, 400, 1_100] {
        let bed = bed(2).await;
        bed.fill(2, 0, 40).await;
        let seen = Seen::default();
        let noted = seen.clone();
        let consumer = bed.builder().await.build().unwrap();
        let work = move |partition: milena_core::Partition,
                         milena_core::Value(value): milena_core::Value| {
            let noted = noted.clone();
            async move {
                sleep(Duration::from_millis(20)).await;
                noted.note_parts(partition, &value);
            }
        };
        let _ = timeout(Duration::from_millis(millis), consumer.run(work)).await;
        sleep(Duration::from_secs(5)).await;
        for partition in [0, 1] {
            let committed = bed.committed(partition).unwrap_or(0);
            let done = seen.of(partition).len();
            assert!(committed <= i64::try_from(done).unwrap(), "{millis} ms");
        }
        let after = seen.len();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(seen.len(), after, "nothing goes on unseen");
        drop(consumer);
        let second = Seen::default();
        let running = run_noting(bed.builder_as("second").await, &second);
        eventually("the rest is done", || {
            (bed.committed(0), bed.committed(1)) == (Some(40), Some(40))
        })
        .await;
        running.end().await;
    }
}
