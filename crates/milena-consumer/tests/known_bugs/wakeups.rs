//! Tests of wake-ups, pauses and dropped futures against bugs of other consumers. Each would fail
//! if milena had the bug.
//!
//! Bug C24 has more cases in `consume/ways.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use milena_consumer::StartAt;
use milena_core::Offset;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::reading::{place, reader};
use crate::bed::{LIMIT, Seen, bed, bed_with, beds_with, run_noting};

/// Bugs C18 and C20. After many leader moves and rebalances a partition is never fetched again.
#[tokio::test(start_paused = true)]
async fn c20_a_thousand_leader_moves_leave_every_partition_alive() {
    let bed = bed_with(3, |builder| builder.replication_factor(2)).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    let mut rounds = 0;
    for number in 0..1_000_u32 {
        let partition = number % 3;
        let (leader, _) = bed.broker.inspect().leader("orders", partition).unwrap();
        bed.broker
            .inspect()
            .move_leader("orders", partition, 3 - leader);
        sleep(Duration::from_millis(u64::from(number % 7) * 10)).await;
        if number % 50 == 49 {
            bed.fill(3, rounds, 1).await;
            rounds += 1;
        }
    }
    seen.until_len(rounds * 3).await;
    running.end().await;
    for partition in 0..3 {
        assert_eq!(seen.of(partition), (0..rounds).collect::<Vec<_>>());
    }
}

/// Bug C18. Fetch sessions stop and start while members come and go, and a consumer waits for ever.
#[tokio::test(start_paused = true)]
async fn c18_members_that_come_and_go_amid_leader_moves_stop_nobody() {
    for bed in beds_with(4, |builder| builder.replication_factor(2)).await {
        let seen = Seen::default();
        let steady = run_noting(bed.builder_as("steady").await, &seen);
        let mut number = 0;
        for round in 0..12_u32 {
            let guest = run_noting(bed.builder_as("guest").await, &seen);
            for partition in 0..4 {
                let (leader, _) = bed.broker.inspect().leader("orders", partition).unwrap();
                bed.broker
                    .inspect()
                    .move_leader("orders", partition, 3 - leader);
            }
            bed.fill(4, number, 5).await;
            number += 5;
            sleep(Duration::from_millis(u64::from(round) * 333)).await;
            guest.end().await;
        }
        let all: BTreeSet<_> = (0..number).collect();
        seen.until("every record", |seen| {
            (0..4).all(|p| seen.of(p).into_iter().collect::<BTreeSet<_>>() == all)
        })
        .await;
        steady.end().await;
    }
}

/// Bug C19. An event that is not a record uses up the wake-up, and a waiting stream is never polled
/// again.
#[tokio::test(start_paused = true)]
async fn c19_a_waiting_stream_is_woken_whatever_happened_before() {
    let bed = bed(2).await;
    let consumer = bed.builder().await.build().unwrap();
    let mut stream = consumer.stream();
    assert!(stream.next().now_or_never().is_none());
    let joined = async {
        while consumer.assignment().len() < 2 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, joined).await.unwrap();
    for number in 0..60_usize {
        let partition = u32::try_from(number % 2).unwrap();
        match number % 5 {
            0 => drop(consumer.commit_async()),
            1 => {
                consumer.pause(&place(partition)).unwrap();
                consumer.resume(&place(partition)).unwrap();
            }
            2 => bed
                .broker
                .inspect()
                .cut_connections(1 + i32::from(number % 2 == 0)),
            3 => drop(consumer.next_batch(0, Duration::ZERO).await.unwrap()),
            _ => drop(consumer.lag()),
        }
        assert!(stream.next().now_or_never().is_none());
        let item = tokio::spawn({
            let cluster = bed.cluster("filler").await;
            async move {
                let producer = milena_producer::Producer::builder(cluster).build().unwrap();
                let record = milena_core::ProducerRecord::new("orders").partition(partition);
                producer.send(record.value("x")).await.unwrap();
            }
        });
        let record = timeout(LIMIT, stream.next()).await;
        let record = record.unwrap_or_else(|_| panic!("never woken, round {number}"));
        assert_eq!(record.unwrap().unwrap().partition.index(), number % 2);
        item.await.unwrap();
    }
}

/// Bug C21. Pauses, resumes and seeks in some order lose records, keep an old position, or leave a
/// partition paused.
#[tokio::test(start_paused = true)]
async fn c21_any_mix_of_pauses_and_seeks_reads_what_a_model_says() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bed = bed(3).await;
        bed.fill(3, 0, 60).await;
        let consumer = reader(&bed, 3).await;
        let mut next: BTreeMap<u32, i64> = (0..3).map(|p| (p, 0)).collect();
        let mut paused = BTreeSet::new();
        for _ in 0..250 {
            let partition = random.u32(0..3);
            match random.u32(0..8) {
                0 => {
                    let to = random.u32(0..60);
                    consumer.seek(&place(partition), Offset::from(to)).unwrap();
                    next.insert(partition, i64::from(to));
                }
                1 => {
                    consumer
                        .seek(&place(partition), StartAt::Beginning)
                        .unwrap();
                    next.insert(partition, 0);
                }
                2 => {
                    consumer.pause(&place(partition)).unwrap();
                    paused.insert(partition);
                }
                3 | 4 => {
                    consumer.resume(&place(partition)).unwrap();
                    paused.remove(&partition);
                }
                5 => {
                    let recv = consumer.recv_batch();
                    if let Ok(batch) = timeout(Duration::from_millis(30), recv).await {
                        let batch = batch.unwrap();
                        let of = u32::try_from(batch.topic_partition().partition.to_wire());
                        let of = of.unwrap();
                        assert!(!paused.contains(&of), "seed {seed}");
                        for record in batch.iter() {
                            let expected = next.get_mut(&of).unwrap();
                            assert_eq!(record.unwrap().offset.to_wire(), *expected, "{seed}");
                            *expected += 1;
                        }
                    }
                }
                _ => {
                    let wait = Duration::from_millis(random.u64(0..40));
                    let some = consumer.next_batch(random.usize(1..30), wait).await;
                    for record in some.unwrap() {
                        let of = u32::try_from(record.partition.to_wire()).unwrap();
                        assert!(!paused.contains(&of), "seed {seed}");
                        let expected = next.get_mut(&of).unwrap();
                        assert_eq!(record.offset.to_wire(), *expected, "seed {seed}");
                        *expected += 1;
                    }
                }
            }
        }
        for partition in 0..3 {
            consumer.resume(&place(partition)).unwrap();
        }
        let end = Instant::now() + LIMIT;
        while next.values().any(|at| *at < 60) {
            assert!(Instant::now() < end, "seed {seed} is stuck at {next:?}");
            let some = consumer.next_batch(50, Duration::from_secs(1)).await;
            for record in some.unwrap() {
                let of = u32::try_from(record.partition.to_wire()).unwrap();
                let expected = next.get_mut(&of).unwrap();
                assert_eq!(record.offset.to_wire(), *expected, "seed {seed}");
                *expected += 1;
            }
        }
    }
}

/// Polls `future` once, or twice if `twice` is true, then drops it.
async fn glimpse<F: Future>(future: F, twice: bool) -> Option<F::Output> {
    let mut future = Box::pin(future);
    if let Some(done) = future.as_mut().now_or_never() {
        return Some(done);
    }
    tokio::task::yield_now().await;
    twice.then(|| future.as_mut().now_or_never()).flatten()
}

/// Bug C24. A future that is dropped while its member joins or rebalances loses records, or blocks
/// the consumer.
#[tokio::test(start_paused = true)]
async fn c24_futures_dropped_amid_rebalances_lose_nothing() {
    for bed in beds_with(4, |b| b).await {
        bed.fill(4, 0, 100).await;
        let consumer = bed.builder_as("steady").await.build().unwrap();
        let mut seen: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
        let mut others = Vec::new();
        let total = |seen: &BTreeMap<i32, BTreeSet<i64>>| -> usize {
            seen.values().map(BTreeSet::len).sum()
        };
        let end = Instant::now() + LIMIT;
        let mut round = 0_usize;
        while total(&seen) < 400 {
            assert!(Instant::now() < end, "stuck at {}", total(&seen));
            round += 1;
            if round % 400 == 100 && others.len() < 3 {
                others.push(run_noting(bed.builder_as("guest").await, &Seen::default()));
            }
            if round % 400 == 300
                && let Some(guest) = others.pop()
            {
                // The guest has read all records below the offsets that it committed. Count them as
                // read.
                guest.end().await;
                for partition in 0..4_u32 {
                    let done = bed.committed(partition).unwrap_or(0);
                    let of = seen.entry(i32::try_from(partition).unwrap()).or_default();
                    of.extend(0..done);
                }
            }
            let record = match round % 3 {
                0 => glimpse(consumer.recv(), round.is_multiple_of(2))
                    .await
                    .map(|r| vec![r.unwrap()]),
                1 => glimpse(consumer.next_batch(3, Duration::from_millis(2)), true)
                    .await
                    .map(Result::unwrap),
                _ => glimpse(consumer.recv_batch(), round.is_multiple_of(2))
                    .await
                    .map(|b| b.unwrap().records().map(Result::unwrap).collect()),
            };
            for record in record.unwrap_or_default() {
                let of = seen.entry(record.partition.to_wire()).or_default();
                of.insert(record.offset.to_wire());
            }
            if round.is_multiple_of(20) {
                sleep(Duration::from_millis(5)).await;
            }
        }
        for guest in others {
            guest.end().await;
        }
        consumer.close().await;
    }
}
