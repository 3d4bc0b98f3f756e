//! Tests of groups and their coordinator against bugs of other clients, G13 and G15 to G19. Each
//! would fail if milena had the bug.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{Consumer, GroupProtocol, Order};
use milena_core::{Backoff, Event, Offset, Partition, Value};
use milena_pool::Cluster;
use milena_protocol::any::AnyRequest;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::ear::{Ear, Heard};
use crate::bed::members::{WAYS, bed_with_journal as bed, member, stable_with};
use crate::bed::{LIMIT, Seen, bed_with, eventually, run, run_noting};

#[tokio::test(start_paused = true)]
async fn g13_whatever_happens_to_heartbeats_who_joins_owns_nothing_and_every_request_is_one_that_brokers_take()
 {
    let on = ApiKey::ConsumerGroupHeartbeat;
    for seed in 0..24_u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bed = bed(4).await;
        let seen = Seen::default();
        let mut running = vec![run_noting(member(&bed, "consumer", "0").await, &seen)];
        stable_with(&bed, 1).await;
        for round in 1..6 {
            let fault = match random.u8(..7) {
                0 => Fault::error(ErrorCode::FENCED_MEMBER_EPOCH),
                1 => Fault::error(ErrorCode::UNKNOWN_MEMBER_ID),
                2 => Fault::error(ErrorCode::NOT_COORDINATOR),
                3 => Fault::apply_then_disconnect(),
                4 => Fault::apply_then_silence(),
                5 => Fault::disconnect(),
                _ => Fault::delay_answer(Duration::from_secs(3)),
            };
            let fault = fault.on(on).nth(random.u32(1..4)).times(random.u32(1..3));
            let fault = bed.broker.faults().add(fault);
            if random.bool() {
                running.push(run_noting(
                    member(&bed, "consumer", &round.to_string()).await,
                    &seen,
                ));
            } else if running.len() > 1 {
                running.remove(0).end().await;
            }
            bed.fill(4, round * 10, 10).await;
            sleep(Duration::from_secs(random.u64(1..20))).await;
            fault.remove();
        }
        seen.until("the last records", |seen| {
            (0..4).all(|p| seen.of(p).last() == Some(&59))
        })
        .await;
        for member in running {
            member.end().await;
        }
        for entry in bed.broker.journal().entries() {
            let errors = entry
                .outcome()
                .map(|outcome| outcome.errors.clone())
                .unwrap_or_default();
            assert!(
                !errors.contains(&ErrorCode::INVALID_REQUEST),
                "seed {seed}: {entry:?}"
            );
            if let Some(AnyRequest::ConsumerGroupHeartbeat(beat)) = entry.message() {
                assert!(
                    beat.member_epoch >= -1,
                    "an epoch of an answer is never a leave"
                );
                let owned = beat.topic_partitions.as_ref();
                assert!(
                    beat.member_epoch != 0 || owned.is_some_and(Vec::is_empty),
                    "seed {seed}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g13_a_topic_that_is_made_again_is_read_from_its_beginning() {
    let bed = bed(2).await;
    let ear = Ear::default();
    let builder = bed
        .classic_of(&[])
        .await
        .group_protocol(GroupProtocol::Consumer);
    let seen = Seen::default();
    let running = run_noting(
        builder
            .topic_pattern("ord.*")
            .rebalance_listener(ear.clone()),
        &seen,
    );
    bed.fill(2, 0, 5).await;
    seen.until_len(10).await;
    bed.broker.inspect().delete_topic("orders");
    eventually("it is let go", || ear.now().is_empty()).await;
    bed.broker.inspect().create_topic("orders", 2).unwrap();
    eventually("it is taken again", || ear.now().len() == 2).await;
    bed.fill(2, 0, 3).await;
    seen.until_len(16).await;
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn g15_closing_ends_while_commits_go_on() {
    for way in WAYS {
        let bed = bed(2).await;
        bed.fill(2, 0, 50).await;
        let slow = Fault::delay(Duration::from_millis(300))
            .on(ApiKey::OffsetCommit)
            .always();
        bed.broker.faults().add(slow);
        let consumer = Arc::new(member(&bed, way, "first").await.build().unwrap());
        timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        let committing = (0..20).map(|_| {
            let consumer = Arc::clone(&consumer);
            tokio::spawn(async move {
                while consumer.recv().await.is_ok() {
                    let _ = consumer.commit().await;
                }
            })
        });
        let committing: Vec<_> = committing.collect();
        sleep(Duration::from_secs(1)).await;
        timeout(LIMIT, consumer.close()).await.expect("it closes");
        for task in committing {
            timeout(LIMIT, task).await.expect("it ends").unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g16_what_ends_after_its_partition_was_handed_over_commits_nothing() {
    for way in WAYS {
        let bed = bed(2).await;
        bed.fill(2, 0, 6).await;
        // The handler never ends for the second record of each partition. Records after it are
        // done.
        let handler = async |offset: Offset| {
            if offset.to_wire() == 1 {
                sleep(Duration::from_secs(100_000)).await;
            }
        };
        let builder = member(&bed, way, "first")
            .await
            .drain_timeout(Duration::from_secs(5));
        let first = run(builder.order(Order::Unordered(4)), handler);
        eventually("the first record is committed", || {
            (bed.committed(0), bed.committed(1)) == (Some(1), Some(1))
        })
        .await;
        let seen = Seen::default();
        let second = run_noting(member(&bed, way, "second").await, &seen);
        stable_with(&bed, 2).await;
        let moved = |p: u32| bed.committed(p) == Some(6);
        eventually("the second member did all of its partition", || {
            moved(0) || moved(1)
        })
        .await;
        let (mine, kept) = if moved(0) { (0, 1) } else { (1, 0) };
        assert_eq!(
            seen.of(mine),
            (1..6).collect::<Vec<_>>(),
            "{way}: nothing was skipped"
        );
        assert!(seen.of(kept).is_empty());
        assert_eq!(bed.committed(kept), Some(1));
        first.end().await;
        second.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn g17_a_coordinator_that_is_none_any_more_costs_no_membership_at_any_request() {
    use ApiKey::{
        ConsumerGroupHeartbeat, Heartbeat, JoinGroup, OffsetCommit, OffsetFetch, SyncGroup,
    };
    for way in WAYS {
        let apis: &[ApiKey] = match way {
            "consumer" => &[ConsumerGroupHeartbeat, OffsetCommit, OffsetFetch],
            _ => &[JoinGroup, SyncGroup, Heartbeat, OffsetCommit, OffsetFetch],
        };
        for api in apis {
            let bed = bed(2).await;
            let (seen, ear) = (Seen::default(), Ear::default());
            let fault = Fault::error(ErrorCode::NOT_COORDINATOR)
                .on(*api)
                .client_id("first");
            let fault = bed.broker.faults().add(fault.times(3));
            let builder = member(&bed, way, "first").await;
            let running = run_noting(builder.rebalance_listener(ear.clone()), &seen);
            bed.fill(2, 0, 10).await;
            seen.until_len(20).await;
            eventually("all is committed", || bed.committed(0) == Some(10)).await;
            eventually("the fault is over", || fault.fired() == 3).await;
            assert_eq!(ear.heard().len(), 1, "{way} {api:?}: {:?}", ear.heard());
            running.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g18_a_broker_that_swallows_metadata_requests_does_not_hide_the_new_coordinator() {
    for way in WAYS {
        let bed = bed_with(3, |b| b.brokers(3)).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let builder = member(&bed, way, "first").await;
        let running = run_noting(builder.rebalance_listener(ear.clone()), &seen);
        bed.fill(3, 0, 5).await;
        seen.until_len(15).await;
        for hole in 1..=3 {
            let fault = Fault::silence()
                .on(ApiKey::Metadata)
                .on(ApiKey::FindCoordinator);
            let fault = bed.broker.faults().add(fault.node(hole).always());
            bed.broker
                .inspect()
                .move_coordinator("billing", hole % 3 + 1);
            sleep(Duration::from_secs(40)).await;
            fault.remove();
        }
        bed.fill(3, 5, 5).await;
        seen.until_len(30).await;
        assert!(
            !ear.heard()
                .iter()
                .any(|heard| matches!(heard, Heard::Lost(_))),
            "{way}"
        );
        running.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn g19_members_that_try_again_do_not_come_all_at_once() {
    let bed = bed(1).await;
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let loading = Fault::error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS).on(ApiKey::JoinGroup);
    bed.broker.faults().add(loading.always());
    let mut members = Vec::new();
    for number in 0..200 {
        let cluster = Cluster::builder(bed.broker.bootstrap())
            .connector(bed.broker.dialer())
            .backoff(Backoff::default());
        let noted = Arc::clone(&times);
        let note = move |event: &Event<'_>| {
            if let Event::Request {
                api: "JoinGroup", ..
            } = event
            {
                noted.lock().push(Instant::now());
            }
        };
        let cluster = cluster
            .add_observer(Arc::new(note))
            .connect()
            .await
            .unwrap();
        let builder = Consumer::builder(cluster, format!("group-{number}")).topics(["orders"]);
        let handler = async |_: Partition, _: Value| {};
        members.push(run(builder.group_protocol(GroupProtocol::Classic), handler));
    }
    sleep(Duration::from_secs(20)).await;
    let times = times.lock().clone();
    let first = times[0];
    let mut rate: BTreeMap<u128, usize> = BTreeMap::new();
    for time in &times {
        *rate
            .entry(time.duration_since(first).as_millis() / 10)
            .or_default() += 1;
    }
    // All members try at once at first. From the tenth second on, no 10 ms hold more than a tenth
    // of all members.
    let later = rate.range(1_000..).map(|(_, count)| *count).max().unwrap();
    assert!(later <= 20, "{later} of 200 at once");
    assert!(times.len() < 200 * 60, "{} tries in 20 s", times.len());
    for member in members {
        member.crash();
    }
}
