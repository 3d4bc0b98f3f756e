//! A panic on any task of a consumer ends the consumer with an error that names the cause. Its
//! partitions are given back, and the error is reported once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{
    AssignedConsumer, Assignor, ConsumerBuilder, GroupAssignment, GroupMember, GroupTopics,
    HandlerService, IntoRoutes, LaneStopPolicy, OffsetReset, Order, RangeAssignor,
    RebalanceListener, StartAt, StuckPolicy,
};
use milena_core::{
    BatchSize, ConsumerEnd, ConsumerRecord, ErrorClass, ErrorKind, Event, Gauge, Gauges, Handler,
    Offset, Outcome, Partition, Recorder, RouteInfo, RouteLabels, RouteRecorder, Routes, Timestamp,
    TopicPartition, Value,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::members::{WAYS, bed_with_journal, member, members};
use crate::bed::{Bed, LIMIT, Running, Seen, bed, eventually, run, run_noting};

/// A listener that panics in the method of this name.
struct Touchy(&'static str);

impl Touchy {
    fn hears(&self, of: &str) {
        assert_ne!(self.0, of, "out of paper");
    }
}

impl RebalanceListener for Touchy {
    async fn assigned(&self, _: &[TopicPartition]) {
        self.hears("assigned");
    }

    async fn revoked(&self, _: &[TopicPartition]) {
        self.hears("revoked");
    }

    async fn lost(&self, _: &[TopicPartition]) {
        self.hears("lost");
    }
}

/// Starts `broken` together with a sound member, and expects it to end with an error that contains
/// `what`. The other member then has all partitions, long before a session ends, and keeps them.
async fn ends_and_leaves_nothing_behind(
    way: &str,
    what: &str,
    broken: impl AsyncFn(&Bed) -> ConsumerBuilder,
) {
    let bed = bed(4).await;
    bed.fill(4, 0, 5).await;
    let (seen, others) = (Seen::default(), Seen::default());
    let first = run_noting(broken(&bed).await, &seen);
    seen.until_len_or_end(20, &first).await;
    let second = run_noting(member(&bed, way, "second").await, &others);
    if what.contains("lost") {
        eventually("there are two", || members(&bed) == 2).await;
        let fault = Fault::error(ErrorCode::UNKNOWN_MEMBER_ID)
            .on(ApiKey::Heartbeat)
            .on(ApiKey::ConsumerGroupHeartbeat)
            .client_id("first");
        bed.broker.faults().add(fault);
    }
    let error = first.ended().await.unwrap_err();
    let ended = Instant::now();
    assert_eq!(error.kind(), ErrorKind::Panicked, "{way} {what}: {error}");
    assert!(error.to_string().contains(what), "{way} {what}: {error}");
    let before = seen.len();
    eventually("the other is alone", || members(&bed) == 1).await;
    // A member that got `UNKNOWN_MEMBER_ID` does not leave. In this test the coordinator still
    // counts it until its session ends.
    assert!(
        what.contains("lost") || ended.elapsed() < Duration::from_secs(10),
        "{way} {what}: it left, and no session was waited for"
    );
    for round in 1..=6 {
        bed.fill(4, round * 5, 5).await;
        sleep(Duration::from_secs(10)).await;
    }
    others
        .until("the other reads all partitions to their ends", |others| {
            (0..4).all(|p| others.of(p).last() == Some(&34))
        })
        .await;
    assert_eq!(seen.len(), before, "{way} {what}: it processes no more");
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_ends_its_consumer_and_the_others_go_on() {
    for way in WAYS {
        for method in ["assigned", "revoked", "lost"] {
            let what = format!("listener's `{method}` panicked");
            ends_and_leaves_nothing_behind(way, &what, async |bed| {
                member(bed, way, "first")
                    .await
                    .rebalance_listener(Touchy(method))
            })
            .await;
        }
    }
}

/// Assigns as `range` does and panics once there are two members. If the flag is true, it also
/// panics when it adds user data after its first sync.
struct Overtaxed(bool);

impl Assignor for Overtaxed {
    fn name(&self) -> &str {
        "range"
    }

    fn user_data(&self, _: &BTreeSet<TopicPartition>, generation: Option<i32>) -> Option<Bytes> {
        assert!(!self.0 || generation.is_none(), "nothing to add");
        None
    }

    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
        assert!(members.len() < 2, "too many");
        RangeAssignor.assign(members, topics)
    }
}

#[tokio::test(start_paused = true)]
async fn an_assignor_that_panics_ends_its_consumer_and_another_member_leads() {
    for adds in [false, true] {
        ends_and_leaves_nothing_behind("range", "the assignor `range` panicked", async |bed| {
            bed.builder_as("first").await.add_assignor(Overtaxed(adds))
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_panics_ends_its_consumer_on_whichever_task_it_is_read() {
    for way in WAYS {
        // The clock panics at its first reading, in a heartbeat, or in a lookup of positions.
        for good in [0, 3, 10] {
            ends_and_leaves_nothing_behind(way, "clock panicked: stopped", async |bed| {
                let read = AtomicU32::new(0);
                let clock = move || {
                    assert!(read.fetch_add(1, Ordering::Relaxed) < good, "stopped");
                    Timestamp::now()
                };
                let reset = OffsetReset::Duration(Duration::from_secs(3600));
                let builder = member(bed, way, "first").await;
                builder.auto_offset_reset(reset).clock(clock)
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_receives_hears_of_a_task_that_panicked_and_the_group_is_left_without_being_asked()
{
    let bed = bed(1).await;
    let consumer = AssignedConsumer::builder(bed.cluster("assigned").await);
    let consumer = consumer.clock(|| panic!("stopped")).build().unwrap();
    let hour = StartAt::Ago(Duration::from_secs(3600));
    consumer.assign([(TopicPartition::new("orders", 0), hour)]);
    let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert!(
        error.to_string().contains("the consumer's clock"),
        "{error}"
    );

    for way in WAYS {
        bed.fill(1, 0, 1).await;
        let read = AtomicBool::new(false);
        let builder = member(&bed, way, "first").await;
        let builder = builder.clock(move || {
            assert!(!read.swap(true, Ordering::Relaxed), "stopped");
            Timestamp::now()
        });
        let consumer = builder.build().unwrap();
        timeout(LIMIT, async { while consumer.recv().await.is_ok() {} })
            .await
            .expect("it hears of the end");
        // The consumer is neither closed nor dropped, and never called again.
        eventually("the group is left", || members(&bed) == 0).await;
        assert!(consumer.assignment().is_empty());
    }
}

/// Routes of which one part panics.
#[derive(Clone)]
struct Broken<S> {
    /// The only route.
    info: [RouteInfo; 1],
    /// Its service.
    service: S,
    /// Name of the part that panics.
    part: &'static str,
}

impl<S: Clone + Send + Sync + 'static> Routes for Broken<S> {
    type Service = S;

    fn routes(&self) -> &[RouteInfo] {
        &self.info
    }

    fn check(&self) -> milena_core::Result<()> {
        assert_ne!(self.part, "check", "nobody home");
        Ok(())
    }

    fn select(&self, record: &ConsumerRecord) -> usize {
        let bad = self.part == "select" && record.offset.to_wire() == 3;
        assert!(!bad, "no such region");
        0
    }

    fn service(&self, _: usize) -> S {
        assert_ne!(self.part, "service", "no more of them");
        self.service.clone()
    }
}

fn broken<A: Send + 'static, H: Handler<A>>(
    part: &'static str,
    batch: bool,
    handler: H,
) -> Broken<HandlerService<H, A>> {
    let mut info = RouteInfo::new("eu");
    info.batch = batch.then_some(BatchSize {
        records: 4,
        within: Duration::from_millis(10),
    });
    let info = [info];
    let service = handler.into_routes().service(0);
    Broken {
        info,
        service,
        part,
    }
}

fn running(
    builder: ConsumerBuilder,
    routes: Broken<HandlerService<impl Handler<()>, ()>>,
) -> Running {
    let consumer = builder.build().unwrap();
    Running::spawn(consumer.shutdown_handle(), async move {
        consumer.run(routes).await
    })
}

#[tokio::test(start_paused = true)]
async fn routes_that_panic_while_they_are_checked_start_nothing() {
    let bed = bed(1).await;
    let run = running(bed.builder().await, broken("check", false, async || {}));
    let error = run.ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    assert!(
        error.to_string().contains("the check of the routes"),
        "{error}"
    );
    assert_eq!(members(&bed), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_stops_receiving_is_told_and_leaves_the_group_where_the_policy_says() {
    for policy in [StuckPolicy::Report, StuckPolicy::StopLane] {
        let bed = bed(2).await;
        bed.fill(2, 0, 20).await;
        let told: Arc<Mutex<u32>> = Arc::default();
        let hears = Arc::clone(&told);
        let builder = bed.builder().await.on_stuck(policy).add_observer(Arc::new(
            move |event: &Event<'_>| {
                if let Event::HandlerStuck { route: "recv", .. } = event {
                    *hears.lock() += 1;
                }
            },
        ));
        let consumer = builder.build().unwrap();
        for _ in 0..20 {
            timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
            // The receiver is slow, but it goes on.
            sleep(Duration::from_secs(60)).await;
        }
        assert_eq!(*told.lock(), 0);
        sleep(Duration::from_secs(700)).await;
        match policy {
            StuckPolicy::Report => {
                assert_eq!(*told.lock(), 2, "each time as much has passed");
                assert_eq!(members(&bed), 1);
                timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
            }
            StuckPolicy::StopLane => {
                assert_eq!(*told.lock(), 1);
                assert_eq!(members(&bed), 0, "others may read");
                let error = consumer.recv().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Timeout);
            }
        }
        // A receiver is not reported if no record waits.
        while timeout(Duration::from_secs(5), consumer.recv())
            .await
            .is_ok_and(|got| got.is_ok())
        {}
        *told.lock() = 0;
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(*told.lock(), 0);
    }
}

const ORDERS: [(Order, bool); 4] = [
    (Order::Partition, false),
    (Order::Partition, true),
    (Order::Key(2), false),
    (Order::Unordered(2), false),
];

#[tokio::test(start_paused = true)]
async fn a_lane_that_panics_outside_its_handler_ends_the_run_and_names_what_panicked() {
    for (part, what) in [
        (
            "select",
            "a condition of the routes panicked: no such region",
        ),
        (
            "service",
            "a route's service, while it was cloned for a lane, panicked",
        ),
    ] {
        for (order, batch) in ORDERS {
            let bed = bed(2).await;
            bed.fill(2, 0, 6).await;
            let builder = bed.builder().await.order(order);
            let run = running(builder, broken(part, batch, async || {}));
            let error = run.ended().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panicked, "{order:?} {batch}");
            assert!(
                error.to_string().contains(what),
                "{order:?} {batch}: {error}"
            );
            assert!(error.place().partition.is_some(), "{error}");
            assert_eq!(members(&bed), 0, "{order:?} {batch}: the group is left");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_panics_stops_alone_where_the_policy_says() {
    for (order, batch) in ORDERS {
        let bed = bed(2).await;
        bed.fill(1, 0, 6).await;
        let stopped: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&stopped);
        let builder =
            bed.builder()
                .await
                .order(order)
                .add_observer(Arc::new(move |event: &Event<'_>| {
                    if let Event::LaneStopped {
                        partition, reason, ..
                    } = event
                    {
                        told.lock().push(format!("{partition}: {reason}"));
                    }
                }));
        let routes = broken("select", batch, async || {});
        let run = running(builder.on_lane_stop(LaneStopPolicy::Pause), routes);
        eventually("it is told", || !stopped.lock().is_empty()).await;
        assert!(stopped.lock()[0].starts_with("orders-0: a condition of the routes panicked"));
        // A record for the other partition. No record of it is the fourth yet.
        let cluster = bed.cluster("filler").await;
        let producer = milena_producer::Producer::builder(cluster).build().unwrap();
        let record = milena_core::ProducerRecord::new("orders").partition(1);
        producer.send(record.value("x")).await.unwrap();
        eventually("the other goes on", || bed.committed(1) == Some(1)).await;
        assert_eq!(stopped.lock().len(), 1, "{order:?} {batch}: told once");
        run.end().await;
    }
}

/// A recorder that panics in the method of this name.
#[derive(Clone)]
struct Full(&'static str);

impl Recorder for Full {
    fn route(&self, _: &RouteLabels) -> Arc<dyn RouteRecorder> {
        assert_ne!(self.0, "route", "full");
        Arc::new(self.clone())
    }
}

impl RouteRecorder for Full {
    fn attempt(&self, _: u32, _: Duration, _: Result<&'static str, ErrorClass>) {
        assert_ne!(self.0, "attempt", "full");
    }

    fn record(&self, _: Duration, _: &'static str) {
        assert_ne!(self.0, "record", "full");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_panics_ends_the_run_and_is_named() {
    for method in ["route", "attempt", "record"] {
        let bed = bed(1).await;
        bed.fill(1, 0, 3).await;
        let builder = bed.builder().await.recorder(Arc::new(Full(method)));
        let error = run(builder, async || {}).ended().await.unwrap_err();
        assert!(
            error.to_string().contains("the recorder panicked"),
            "{method}: {error}"
        );
        assert_eq!(members(&bed), 0);
    }
}

struct Unreadable;

impl Gauges for Unreadable {
    fn read(&self, _: &mut dyn FnMut(Gauge<'_>)) {
        panic!("nothing to see");
    }
}

#[tokio::test(start_paused = true)]
async fn gauges_that_panic_hide_no_others_from_whoever_looks() {
    let bed = bed(1).await;
    bed.fill(1, 0, 1).await;
    let mut routes = broken("", false, async || {});
    routes.info[0].gauges.push(Arc::new(Unreadable));
    let broken_clock = Arc::new(AtomicBool::new(false));
    let breaks = Arc::clone(&broken_clock);
    let consumer = bed.builder().await.clock(move || {
        assert!(!breaks.load(Ordering::Relaxed), "stopped");
        Timestamp::now()
    });
    let consumer = consumer.build().unwrap();
    let gauges = consumer.gauges();
    let run = Running::spawn(consumer.shutdown_handle(), async move {
        consumer.run(routes).await
    });
    eventually("it is committed", || bed.committed(0) == Some(1)).await;
    broken_clock.store(true, Ordering::Relaxed);
    let mut settled = false;
    gauges.read(&mut |gauge| settled |= matches!(gauge, Gauge::Settled { .. }));
    assert!(settled);
    broken_clock.store(false, Ordering::Relaxed);
    run.end().await;
}

/// Number of times that the start of a consumer was reported, and the error of each reported end.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<(u32, Vec<Option<ErrorKind>>)>>);

impl Told {
    fn hears(&self, builder: ConsumerBuilder) -> ConsumerBuilder {
        let told = self.clone();
        builder.add_observer(Arc::new(move |event: &Event<'_>| match event {
            Event::ConsumerStarted { .. } => told.0.lock().0 += 1,
            Event::ConsumerEnded { end, .. } => {
                let error = match end {
                    ConsumerEnd::Failed(error) => Some(error.kind()),
                    _ => None,
                };
                told.0.lock().1.push(error);
            }
            _ => {}
        }))
    }

    fn expect(&self, way: &str, ends: &[Option<ErrorKind>]) {
        assert_eq!(*self.0.lock(), (1, ends.to_vec()), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_consumer_is_told_once_however_it_ends() {
    let bed = bed(1).await;
    bed.fill(1, 0, 1).await;
    let fresh = async || (Told::default(), bed.builder().await);

    let (told, builder) = fresh().await;
    run(told.hears(builder), async || {}).end().await;
    told.expect("shut down", &[None]);

    bed.fill(1, 1, 1).await;
    let (told, builder) = fresh().await;
    run(told.hears(builder), async || Outcome::stop("enough"))
        .ended()
        .await
        .unwrap();
    told.expect("stopped by its handler", &[None]);

    let (told, builder) = fresh().await;
    let running = run(told.hears(builder), async || {});
    eventually("it started", || told.0.lock().0 == 1).await;
    running.crash();
    eventually("it ended", || !told.0.lock().1.is_empty()).await;
    told.expect("its run was dropped", &[None]);

    let (told, builder) = fresh().await;
    let consumer = told.hears(builder).build().unwrap();
    let _ = timeout(Duration::from_secs(1), consumer.recv()).await;
    drop(consumer);
    told.expect("dropped", &[None]);

    let (told, builder) = fresh().await;
    let consumer = told.hears(builder).build().unwrap();
    let _ = timeout(Duration::from_secs(1), consumer.recv()).await;
    consumer.close().await;
    consumer.close().await;
    drop(consumer);
    told.expect("closed twice, then dropped", &[None]);

    let (told, builder) = fresh().await;
    let builder = told.hears(builder).rebalance_listener(Touchy("assigned"));
    run(builder, async || {}).ended().await.unwrap_err();
    told.expect("a panic", &[Some(ErrorKind::Panicked)]);

    let (told, builder) = fresh().await;
    let cluster = bed.cluster("closed").await;
    drop(builder);
    let builder = milena_consumer::Consumer::builder(cluster.clone(), "billing").topics(["orders"]);
    let running = run(told.hears(builder), async || {});
    eventually("it started", || told.0.lock().0 == 1).await;
    cluster.close().await;
    running.ended().await.unwrap_err();
    told.expect("the cluster was closed", &[Some(ErrorKind::Closed)]);

    let (told, builder) = fresh().await;
    drop(told.hears(builder).build().unwrap());
    assert_eq!(*told.0.lock(), (0, vec![]), "never started");
}

#[test]
fn a_consumer_whose_runtime_ended_says_so_and_waits_for_nothing() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let (brokers, first, second) = (runtime(), runtime(), runtime());
    let consumer = brokers.block_on(async {
        let bed = bed(1).await;
        bed.fill(1, 0, 1).await;
        let builder = bed.builder().await;
        std::mem::forget(bed);
        builder.build().unwrap()
    });
    first.block_on(consumer.recv()).unwrap();
    drop(first);
    let recv = async { timeout(Duration::from_secs(30), consumer.recv()).await };
    let error = second.block_on(recv).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_captured_goes_with_its_run_and_the_cluster_with_its_consumer() {
    for way in WAYS {
        for orderly in [true, false] {
            let bed = bed_with_journal(2).await;
            bed.fill(2, 0, 5).await;
            let captured = Arc::new(());
            let held = Arc::clone(&captured);
            let handler = move |_: Partition, _: Value, _: Offset| {
                let held = Arc::clone(&held);
                async move { drop(held) }
            };
            let consumer = member(&bed, way, "first").await.build().unwrap();
            let gauges = consumer.gauges();
            let stop = consumer.shutdown_handle();
            if orderly {
                let stopped = async {
                    sleep(Duration::from_secs(5)).await;
                    stop.shutdown();
                };
                let (report, ()) = tokio::join!(consumer.run(handler), stopped);
                assert_eq!(report.unwrap().processed, 10);
            } else {
                let _ = timeout(Duration::from_secs(5), consumer.run(handler)).await;
            }
            eventually("the handler is dropped", || {
                Arc::strong_count(&captured) == 1
            })
            .await;
            drop(consumer);
            eventually("the consumer is gone", || {
                let mut shown = 0;
                gauges.read(&mut |_| shown += 1);
                shown == 0
            })
            .await;
            // Nobody closed the cluster handle. Its tasks end with the last handle.
            bed.broker.journal().clear();
            sleep(Duration::from_secs(1200)).await;
            let asked = bed
                .broker
                .journal()
                .matching(|entry| entry.client_id() == Some("first"));
            assert!(asked.is_empty(), "{way}: {asked:?}");
        }
    }
}
