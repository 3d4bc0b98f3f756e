//! Fetches and lookups that fail, stay empty or return too much. They are reported and tried again,
//! and do not disturb other partitions.

use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{
    AssignedConsumer, AssignedConsumerBuilder, Consumer, OffsetReset, Order, StartAt,
};
use milena_core::{ErrorKind, Offset, Partition, ProducerRecord, Timestamp, Value};
use milena_producer::Producer;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::reading::{expect, place};
use crate::bed::{Bed, Events, LIMIT, Seen, bed, bed_with, eventually, fill, run, run_noting};

fn requests(bed: &Bed, api: ApiKey) -> usize {
    bed.broker.journal().requests(api).len()
}

async fn reader(
    bed: &Bed,
    partitions: u32,
    change: impl FnOnce(AssignedConsumerBuilder) -> AssignedConsumerBuilder,
) -> AssignedConsumer {
    let builder = AssignedConsumer::builder(bed.cluster("consumer").await);
    let consumer = change(builder).build().unwrap();
    consumer.assign((0..partitions).map(|p| (place(p), StartAt::Beginning)));
    consumer
}

#[tokio::test(start_paused = true)]
async fn a_replica_whose_log_parts_from_what_was_read_is_left_and_nothing_else_happens() {
    let bed = bed_with(1, |b| b.replication_factor(2).racks(["a", "b"])).await;
    bed.fill(1, 0, 10).await;
    let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
    let follower = 3 - leader;
    let events = Events::default();
    let rack = ["a", "b"][usize::try_from(follower - 1).unwrap()];
    let consumer = Consumer::builder(bed.cluster("consumer").await, "billing")
        .topics(["orders"])
        .client_rack(rack)
        .add_observer(Arc::new(events.clone()))
        .build()
        .unwrap();
    for _ in 0..10 {
        timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    }
    consumer.commit().await.unwrap();
    let parts = Fault::diverging(0, 5).on(ApiKey::Fetch).node(follower);
    let handle = bed.broker.faults().add(parts.always());
    bed.fill(1, 10, 10).await;
    for expected in 10..20 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.offset.to_wire(), expected);
    }
    assert!(handle.fired() > 0);
    assert_eq!(events.count(&["LogTruncated"]), 0);
    assert_eq!(bed.committed(0), Some(10));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_goes_on_telling_that_its_log_parts_where_reading_stands_is_not_run_over() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let consumer = reader(&bed, 1, |b| b).await;
    expect(&consumer, 0..10).await;
    let parts = Fault::diverging(0, 10).on(ApiKey::Fetch).always();
    bed.broker.faults().add(parts);
    let before = requests(&bed, ApiKey::Fetch);
    let waiting = consumer.next_batch(1, Duration::from_secs(10)).await;
    assert!(waiting.unwrap().is_empty());
    let fetches = requests(&bed, ApiKey::Fetch) - before;
    assert!(fetches <= 60, "{fetches} fetches in ten seconds");
    bed.broker.faults().clear();
    bed.fill(1, 10, 5).await;
    expect(&consumer, 10..15).await;
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_out_of_range_time_after_time_is_not_asked_about_all_the_time() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let events = Events::default();
    let noted = Arc::new(events.clone());
    let fault = Fault::error(ErrorCode::OFFSET_OUT_OF_RANGE).on(ApiKey::Fetch);
    bed.broker.faults().add(fault.always());
    let consumer = reader(&bed, 1, |b| b.add_observer(noted)).await;
    let waiting = consumer.next_batch(1, Duration::from_secs(10)).await;
    assert!(waiting.unwrap().is_empty());
    let all = requests(&bed, ApiKey::Fetch) + requests(&bed, ApiKey::ListOffsets);
    assert!((4..=90).contains(&all), "{all} requests in ten seconds");
    assert!(events.count(&["OffsetReset"]) <= 45);
    bed.broker.faults().clear();
    expect(&consumer, 0..10).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_broker_refuses_without_a_reason_is_asked_again_and_told() {
    for code in [-1, 9_999] {
        for api in [ApiKey::Fetch, ApiKey::ListOffsets] {
            let bed = bed(2).await;
            bed.fill(2, 0, 10).await;
            let fault = Fault::error(ErrorCode::from_wire(code).unwrap()).on(api);
            let fault = fault.topic("orders").partition(1).times(6);
            let handle = bed.broker.faults().add(fault);
            let (seen, events) = (Seen::default(), Events::default());
            let builder = bed.builder().await.add_observer(Arc::new(events.clone()));
            let running = run_noting(builder, &seen);
            seen.until_len(20).await;
            assert_eq!(handle.fired(), 6);
            let told = match api {
                ApiKey::Fetch => "FetchFailed",
                _ => "LookupFailed",
            };
            assert_eq!(events.count(&[told]), 6, "{api:?} {code}");
            running.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_may_not_be_read_keeps_no_other_from_being_read_and_is_read_once_it_may() {
    for api in [ApiKey::Fetch, ApiKey::ListOffsets] {
        let bed = bed_with(1, |builder| builder.topic("secret", 1)).await;
        let cluster = bed.cluster("filler").await;
        fill(&cluster, "secret", 1, 0, 5).await;
        let fault = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(api);
        bed.broker.faults().add(fault.topic("secret").always());
        let (seen, events) = (Seen::default(), Events::default());
        let builder = bed.builder().await.topics(["orders", "secret"]);
        let running = run_noting(builder.add_observer(Arc::new(events.clone())), &seen);
        bed.fill(1, 0, 5).await;
        seen.until_len(5).await;
        sleep(Duration::from_secs(10)).await;
        bed.fill(1, 5, 5).await;
        seen.until_len(10).await;
        let told = events.count(&["Failed", "secret", "TOPIC_AUTHORIZATION_FAILED"]);
        assert!((2..=40).contains(&told), "{api:?}: {told}");
        bed.broker.faults().clear();
        seen.until_len(15).await;
        running.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_topic_that_may_not_be_read_ends_the_run_and_is_named() {
    for api in [ApiKey::Fetch, ApiKey::ListOffsets] {
        let bed = bed(1).await;
        bed.fill(1, 0, 5).await;
        let fault = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(api);
        bed.broker.faults().add(fault.topic("orders").always());
        let ended = run_noting(bed.builder().await, &Seen::default()).ended();
        let error = ended.await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
        assert!(error.to_string().contains("orders"), "{error}");
    }
}

/// Writes one batch with a value of this many bytes.
async fn one(bed: &Bed, partition: u32, bytes: usize) {
    let producer = Producer::builder(bed.cluster("filler").await);
    let producer = producer.batch_size(bytes + 1_000).build().unwrap();
    let record = ProducerRecord::new("orders").partition(partition);
    producer.send(record.value(vec![7; bytes])).await.unwrap();
    producer.close(LIMIT).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_sessions_every_partition_gets_its_turn_and_a_large_batch_too() {
    let bed = bed_with(40, |b| b.brokers(1).max_fetch_sessions(0)).await;
    for _ in 0..12 {
        for partition in 0..10 {
            one(&bed, partition, 30_000).await;
        }
    }
    one(&bed, 39, 200_000).await;
    one(&bed, 38, 10).await;
    let consumer = reader(&bed, 40, |b| {
        b.fetch_max_bytes(256 << 10)
            .max_partition_fetch_bytes(32 << 10)
            .buffer_memory(1 << 20)
    })
    .await;
    let mut firsts = Vec::new();
    for at in 0.. {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        match record.partition.index() {
            38 | 39 => firsts.push(at),
            // Write as much again as was read, so that these partitions never run dry.
            partition => one(&bed, u32::try_from(partition).unwrap(), 30_000).await,
        }
        if firsts.len() == 2 {
            break;
        }
        assert!(at < 120, "served: {firsts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_where_the_log_goes_on_asks_for_more() {
    let bed = bed_with(2, |b| b.brokers(1).max_fetch_sessions(0)).await;
    one(&bed, 0, 10).await;
    one(&bed, 1, 300_000).await;
    let consumer = reader(&bed, 2, |b| b.max_partition_fetch_bytes(16 << 10)).await;
    // A small record always waits before the large batch.
    for count in 0..12 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        if record.partition.index() == 1 {
            return;
        }
        assert!(count < 10, "the large batch never comes");
        one(&bed, 0, 10).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_frame_limit_is_told_and_holds_up_no_other_partition() {
    let bed = bed_with(3, |b| b.brokers(1)).await;
    one(&bed, 1, 900_000).await;
    let cluster = milena_pool::Cluster::builder(bed.broker.bootstrap())
        .connector(bed.broker.dialer())
        .client_id("consumer")
        .max_frame(512 << 10)
        .connect()
        .await
        .unwrap();
    let events = Events::default();
    let builder = AssignedConsumer::builder(cluster).add_observer(Arc::new(events.clone()));
    let consumer = builder.fetch_max_bytes(256 << 10).build().unwrap();
    consumer.assign((0..3).map(|p| (place(p), StartAt::Beginning)));
    bed.fill(3, 0, 5).await;
    let mut read = 0;
    let mut told = None;
    while read < 10 || told.is_none() {
        match timeout(LIMIT, consumer.recv()).await.unwrap() {
            Ok(record) => {
                assert_ne!(record.partition.index(), 1);
                read += 1;
            }
            Err(error) => told = Some(error),
        }
    }
    let told = told.unwrap();
    assert_eq!(told.kind(), ErrorKind::Decode);
    assert_eq!(told.place().partition, Some(Partition::from(1_u32)));
    assert!(events.count(&["FetchFailed"]) >= 3);
    bed.fill(1, 5, 5).await;
    for _ in 0..5 {
        loop {
            if timeout(LIMIT, consumer.recv()).await.unwrap().is_ok() {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_answer_lookups_holds_up_no_other() {
    let bed = bed(2).await;
    bed.fill(2, 0, 5).await;
    let silent = bed.broker.inspect().leader("orders", 1).unwrap().0;
    assert_ne!(bed.broker.inspect().leader("orders", 0).unwrap().0, silent);
    let fault = Fault::silence().on(ApiKey::ListOffsets).node(silent);
    bed.broker.faults().add(fault.always());
    let began = Instant::now();
    let consumer = reader(&bed, 2, |b| b).await;
    for _ in 0..5 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.partition.index(), 0);
    }
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_away_from_a_silent_broker_is_asked_at_once() {
    let bed = bed_with(1, |b| b.replication_factor(2)).await;
    bed.fill(1, 0, 5).await;
    let silent = bed.broker.inspect().leader("orders", 0).unwrap().0;
    let fault = Fault::silence().on(ApiKey::ListOffsets).node(silent);
    let handle = bed.broker.faults().add(fault.always());
    let consumer = reader(&bed, 1, |b| b).await;
    let reading = consumer.recv();
    tokio::select! {
        _ = reading => panic!("nobody answers"),
        () = handle.wait_fired(1) => {}
    }
    let began = Instant::now();
    bed.broker.inspect().move_leader("orders", 0, 3 - silent);
    consumer.partitions_for("other").await.unwrap_err();
    expect(&consumer, 0..5).await;
    assert!(
        began.elapsed() < Duration::from_secs(90),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_is_away_keeps_nobody_from_asking_leaders() {
    let bed = bed_with(1, |b| b.replication_factor(2)).await;
    bed.fill(1, 0, 5).await;
    let consumer = bed.builder().await.build().unwrap();
    for _ in 0..5 {
        timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    }
    let fault = Fault::silence()
        .on(ApiKey::FindCoordinator)
        .on(ApiKey::OffsetFetch);
    bed.broker.faults().add(fault.always());
    let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
    bed.broker.inspect().move_leader("orders", 0, 3 - leader);
    bed.fill(1, 5, 5).await;
    let began = Instant::now();
    for _ in 0..5 {
        timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_lag_of_a_slow_or_paused_reader_grows_with_the_log() {
    let bed = bed(2).await;
    let seen = Seen::default();
    let builder = bed.builder().await.buffer_memory(64 << 10);
    let consumer = Arc::new(builder.build().unwrap());
    let stop = consumer.shutdown_handle();
    let noted = seen.clone();
    let running = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move {
            consumer
                .run(move |partition: Partition, Value(value): Value| {
                    let noted = noted.clone();
                    async move {
                        noted.note_parts(partition, b"0");
                        drop(value);
                        sleep(Duration::from_secs(3_600)).await;
                    }
                })
                .await
        }
    });
    for partition in 0..2 {
        one(&bed, partition, 60_000).await;
    }
    seen.until_len(2).await;
    consumer.pause(&place(1)).unwrap();
    for _ in 0..30 {
        for partition in 0..2 {
            one(&bed, partition, 60_000).await;
        }
    }
    sleep(Duration::from_secs(11)).await;
    let lag = consumer.lag();
    let records = |partition| lag.get(&place(partition)).map(|lag| lag.records);
    assert_eq!((records(0), records(1)), (Some(31), Some(31)));
    let asked = requests(&bed, ApiKey::ListOffsets);
    sleep(Duration::from_secs(60)).await;
    let asked = requests(&bed, ApiKey::ListOffsets) - asked;
    assert!(asked <= 2 * 13, "{asked} in a minute, of two brokers");
    stop.shutdown_now();
    let _ = running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_told_though_every_fetch_is_refused_and_that_is_an_event() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let (seen, events) = (Seen::default(), Events::default());
    let builder = bed.builder().await.add_observer(Arc::new(events.clone()));
    let consumer = Arc::new(builder.build().unwrap());
    let stop = consumer.shutdown_handle();
    let noted = seen.clone();
    let running = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move {
            let handler = move |partition: Partition, Value(value): Value| {
                noted.note_parts(partition, &value);
                async {}
            };
            consumer.run(handler).await
        }
    });
    seen.until_len(5).await;
    let fault = Fault::error(ErrorCode::KAFKA_STORAGE_ERROR).on(ApiKey::Fetch);
    bed.broker
        .faults()
        .add(fault.topic("orders").partition(0).always());
    // A fetch that was sent before the fault is answered first.
    bed.fill(1, 5, 1).await;
    sleep(Duration::from_secs(2)).await;
    bed.fill(1, 6, 1_000).await;
    sleep(Duration::from_secs(20)).await;
    let lag = consumer.lag().get(&place(0)).map(|lag| lag.records);
    assert_eq!(lag, Some(1_000));
    assert!(events.count(&["FetchFailed", "KAFKA_STORAGE_ERROR"]) >= 10);
    stop.shutdown();
    running.await.unwrap().unwrap();
}

/// Connects a client whose metadata shows a new topic within seconds.
async fn fresh(bed: &Bed) -> milena_pool::Cluster {
    let builder = milena_pool::Cluster::builder(bed.broker.bootstrap());
    let builder = builder.connector(bed.broker.dialer());
    let builder = builder.metadata_max_age(Duration::from_secs(5));
    builder.client_id("consumer").connect().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_added_after_the_group_began_is_read_from_its_first_record_under_latest_too() {
    for bed in crate::bed::beds_with(2, |b| b).await {
        bed.fill(2, 0, 5).await;
        let seen = Seen::default();
        let builder = Consumer::builder(fresh(&bed).await, "billing").topics(["orders"]);
        let running = run_noting(builder.auto_offset_reset(OffsetReset::Latest), &seen);
        eventually("it reads", || requests(&bed, ApiKey::Fetch) > 0).await;
        bed.broker.inspect().add_partitions("orders", 4).unwrap();
        bed.fill(4, 5, 5).await;
        seen.until_len(20).await;
        for partition in 0..4 {
            assert_eq!(seen.of(partition), (5..10).collect::<Vec<_>>());
        }
        running.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_a_pattern_takes_in_later_is_read_from_its_first_record_under_latest_too() {
    for bed in crate::bed::beds_with(1, |b| b).await {
        bed.fill(1, 0, 5).await;
        let seen = Seen::default();
        let builder = Consumer::builder(fresh(&bed).await, "billing");
        let builder = builder.topic_pattern("ord.*");
        let running = run_noting(builder.auto_offset_reset(OffsetReset::Latest), &seen);
        eventually("it reads", || requests(&bed, ApiKey::Fetch) > 0).await;
        bed.broker.inspect().create_topic("ordinary", 1).unwrap();
        fill(&bed.cluster("filler").await, "ordinary", 1, 100, 5).await;
        seen.until_len(5).await;
        assert_eq!(
            seen.of(0),
            (100..105).collect::<Vec<_>>(),
            "and none of before"
        );
        running.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn times_before_the_first_are_refused() {
    let bed = bed(1).await;
    bed.fill(1, 0, 1).await;
    let early = Timestamp::from_millis(-2);
    let built = bed
        .builder()
        .await
        .auto_offset_reset(OffsetReset::Timestamp(early))
        .build();
    assert_eq!(built.unwrap_err().kind(), ErrorKind::Config);
    let consumer = bed.builder().await.build().unwrap();
    timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    let sought = consumer.seek(&place(0), StartAt::Timestamp(early));
    assert_eq!(sought.unwrap_err().kind(), ErrorKind::Config);
    let asked = consumer.offsets_for_times([(place(0), early)]).await;
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::Config);
    consumer.close().await;
    let assigned = AssignedConsumer::builder(bed.cluster("consumer").await)
        .build()
        .unwrap();
    assigned.assign([(place(0), StartAt::Timestamp(early))]);
    let told = timeout(LIMIT, assigned.recv()).await.unwrap().unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn records_that_wait_behind_a_busy_key_count_against_the_memory() {
    let bed = bed(1).await;
    let limit = 1 << 20;
    let producer = Producer::builder(bed.cluster("filler").await)
        .build()
        .unwrap();
    for _ in 0..100 {
        let record = ProducerRecord::new("orders").partition(0).key("hot");
        producer.send(record.value(vec![7; 100_000])).await.unwrap();
    }
    let events = Events::default();
    let builder = bed
        .builder()
        .await
        .order(Order::Key(4))
        .buffer_memory(limit);
    let running = run(
        builder.add_observer(Arc::new(events.clone())),
        |_: Value| std::future::pending::<()>(),
    );
    sleep(Duration::from_secs(60)).await;
    let fetched = events.sum("Received", "bytes: ");
    assert!(fetched <= limit + 210_000, "{fetched} bytes");
    running.crash();
}

#[tokio::test(start_paused = true)]
async fn records_that_a_receiver_keeps_count_against_the_memory_and_stop_no_partition() {
    let bed = bed(1).await;
    for _ in 0..60 {
        one(&bed, 0, 50_000).await;
    }
    let consumer = reader(&bed, 1, |b| b.buffer_memory(1 << 20)).await;
    let mut kept = Vec::new();
    while kept.len() < 60 {
        kept.push(timeout(LIMIT, consumer.recv()).await.unwrap().unwrap());
    }
    let used = || {
        let mut found = 0;
        consumer.gauges().read(&mut |gauge| {
            if let milena_core::Gauge::BufferUsed { used, .. } = gauge {
                found = used;
            }
        });
        found
    };
    assert!(used() >= 3_000_000, "{}", used());
    kept.clear();
    eventually("all is given back", || used() <= 60_000).await;
    assert!(consumer.position(&place(0)).unwrap() == Offset::from_wire(60));
}
