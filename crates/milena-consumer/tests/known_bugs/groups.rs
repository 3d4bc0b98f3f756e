//! Tests of groups against bugs of other clients, G1 to G12 and G14. Each would fail if milena had
//! the bug.
//!
//! In bug G9 a partition is assigned in the generation in which it is revoked, and in bug G10 an
//! assignor never ends. The property tests of the sticky assignor cover both, together with
//! `members_that_come_and_go_never_own_a_partition_together` here. The other bugs are in
//! `coordinator.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_core::{Timestamp, TopicPartition};
use milena_protocol::any::AnyRequest;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::ear::{Ear, Heard};
use crate::bed::hostile;
use crate::bed::members::{WAYS, bed_with_journal as bed, member, members, stable_with};
use crate::bed::owners::Owners;
use crate::bed::{LIMIT, Running, Seen, eventually, run_noting};

async fn end_in_order(seen: &Seen, running: Vec<Running>, partitions: u32, count: usize) {
    for member in running {
        member.end().await;
    }
    for partition in 0..partitions {
        assert_eq!(seen.of(partition), (0..count).collect::<Vec<_>>());
    }
}

fn lost(ear: &Ear) -> bool {
    ear.heard()
        .iter()
        .any(|heard| matches!(heard, Heard::Lost(_)))
}

#[tokio::test(start_paused = true)]
async fn g1_fetching_goes_on_after_a_commit_that_a_rebalance_refused() {
    for way in WAYS {
        for code in [
            ErrorCode::ILLEGAL_GENERATION,
            ErrorCode::REBALANCE_IN_PROGRESS,
            ErrorCode::STALE_MEMBER_EPOCH,
        ] {
            let bed = bed(4).await;
            let seen = Seen::default();
            let first = run_noting(member(&bed, way, "first").await, &seen);
            bed.fill(4, 0, 10).await;
            seen.until_len(40).await;
            eventually("the first offsets are committed", || {
                bed.committed(0) == Some(10)
            })
            .await;
            let fault = Fault::error(code)
                .on(ApiKey::OffsetCommit)
                .client_id("first");
            let fault = bed.broker.faults().add(fault.times(1));
            let second = run_noting(member(&bed, way, "second").await, &seen);
            bed.fill(4, 10, 10).await;
            stable_with(&bed, 2).await;
            bed.fill(4, 20, 10).await;
            seen.until("the last record of each partition", |seen| {
                (0..4).all(|p| seen.of(p).last() == Some(&29))
            })
            .await;
            eventually("all is committed", || {
                (0..4).all(|p| bed.committed(p) == Some(30))
            })
            .await;
            assert!(fault.fired() > 0, "{way} {code}");
            first.end().await;
            second.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g2_a_commit_that_is_never_answered_does_not_keep_a_member_from_joining() {
    for way in ["range", "cooperative-sticky"] {
        let bed = bed(2).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let builder = member(&bed, way, "first").await;
        let first = run_noting(builder.rebalance_listener(ear.clone()), &seen);
        bed.fill(2, 0, 5).await;
        seen.until_len(10).await;
        let fault = Fault::silence()
            .on(ApiKey::OffsetCommit)
            .client_id("first")
            .always();
        let fault = bed.broker.faults().add(fault);
        bed.fill(2, 5, 5).await;
        let started = Instant::now();
        let second = run_noting(member(&bed, way, "second").await, &seen);
        stable_with(&bed, 2).await;
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "within the rebalance timeout"
        );
        assert!(!lost(&ear), "{way}: it was never thrown out");
        fault.remove();
        first.end().await;
        second.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn g3_nothing_is_read_of_a_partition_while_its_last_commit_is_on_its_way() {
    for way in WAYS {
        let bed = bed(2).await;
        let seen = Seen::default();
        let first = run_noting(member(&bed, way, "first").await, &seen);
        bed.fill(2, 0, 10).await;
        seen.until_len(20).await;
        eventually("the first offsets are committed", || {
            bed.committed(0) == Some(10)
        })
        .await;
        let slow = Fault::delay(Duration::from_secs(8))
            .on(ApiKey::OffsetCommit)
            .client_id("first");
        bed.broker.faults().add(slow.times(3));
        bed.fill(2, 10, 10).await;
        seen.until_len(40).await;
        let second = run_noting(member(&bed, way, "second").await, &seen);
        for round in 2..8 {
            sleep(Duration::from_secs(2)).await;
            bed.fill(2, round * 10, 10).await;
        }
        stable_with(&bed, 2).await;
        seen.until_len(160).await;
        end_in_order(&seen, vec![first, second], 2, 80).await;
    }
}

#[tokio::test(start_paused = true)]
async fn g4_a_coordinator_that_is_not_found_is_looked_up_again_at_every_step() {
    for way in WAYS {
        for nth in 1..4 {
            for fault in [
                Fault::error(ErrorCode::COORDINATOR_NOT_AVAILABLE),
                Fault::disconnect(),
                Fault::silence(),
            ] {
                let bed = bed(2).await;
                let seen = Seen::default();
                let fault = fault
                    .on(ApiKey::FindCoordinator)
                    .client_id("first")
                    .nth(nth);
                let fault = bed.broker.faults().add(fault.times(2));
                let first = run_noting(member(&bed, way, "first").await, &seen);
                bed.fill(2, 0, 5).await;
                seen.until_len(10).await;
                for node in [1, 2, 1, 2] {
                    bed.broker.inspect().move_coordinator("billing", node);
                    sleep(Duration::from_secs(15)).await;
                }
                bed.fill(2, 5, 5).await;
                seen.until_len(20).await;
                assert!(fault.fired() > 0, "{way} {nth}");
                end_in_order(&seen, vec![first], 2, 10).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g5_thousands_of_commits_over_a_coordinator_that_goes_away_all_end() {
    for way in WAYS {
        let bed = bed(1).await;
        bed.fill(1, 0, 10).await;
        let consumer = Arc::new(member(&bed, way, "first").await.build().unwrap());
        timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        let fault = Fault::disconnect().on(ApiKey::OffsetCommit).times(3);
        bed.broker.faults().add(fault);
        let commits = (0..5_000).map(|_| {
            let consumer = Arc::clone(&consumer);
            tokio::spawn(async move { consumer.commit().await })
        });
        let commits: Vec<_> = commits.collect();
        bed.broker.inspect().move_coordinator("billing", 2);
        for commit in commits {
            timeout(LIMIT, commit)
                .await
                .expect("it ends")
                .unwrap()
                .unwrap();
        }
        assert_eq!(bed.committed(0), Some(1));
        timeout(LIMIT, consumer.close()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn g6_a_member_that_closes_gives_back_first_and_leaves_whatever_its_heartbeat_is_at() {
    for way in WAYS {
        for phase in 0..8 {
            let bed = bed(2).await;
            let seen = Seen::default();
            let on = [ApiKey::Heartbeat, ApiKey::ConsumerGroupHeartbeat];
            let slow = Fault::delay_answer(Duration::from_millis(1_500))
                .client_id("first")
                .nth(3);
            bed.broker.faults().add(slow.on(on[0]).on(on[1]).always());
            let first = run_noting(member(&bed, way, "first").await, &seen);
            bed.fill(2, 0, 5).await;
            seen.until_len(10).await;
            sleep(Duration::from_secs(20) + Duration::from_millis(700 * phase)).await;
            first.end().await;
            assert_eq!(members(&bed), 0, "{way}, phase {phase}: it has left");
            assert_eq!((bed.committed(0), bed.committed(1)), (Some(5), Some(5)));
            let entries = bed.broker.journal().entries();
            let refused = entries.iter().filter(|entry| {
                let errors = entry.outcome().map(|outcome| outcome.errors.clone());
                errors.is_some_and(|errors| errors.contains(&ErrorCode::INVALID_REQUEST))
            });
            assert_eq!(refused.count(), 0, "{way}, phase {phase}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g7_commits_go_on_after_a_time_without_records() {
    for way in WAYS {
        let bed = bed(1).await;
        let seen = Seen::default();
        let first = run_noting(member(&bed, way, "first").await, &seen);
        for round in 0..3 {
            sleep(Duration::from_secs(60)).await;
            bed.fill(1, round * 5, 5).await;
            let expected = Some(i64::try_from(round).unwrap() * 5 + 5);
            eventually("the offsets are committed", || bed.committed(0) == expected).await;
        }
        first.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn g8_a_member_with_hostile_metadata_ends_no_leader_and_gets_nothing_of_the_others() {
    for assignor in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
        let bed = bed(3).await;
        let seen = Seen::default();
        let first = run_noting(member(&bed, assignor, "first").await, &seen);
        stable_with(&bed, 1).await;
        for metadata in hostile::METADATA {
            let intruder = hostile::join(&bed, assignor, metadata).await;
            sleep(Duration::from_secs(10)).await;
            intruder.leave().await;
        }
        bed.fill(3, 0, 5).await;
        seen.until_len(15).await;
        end_in_order(&seen, vec![first], 3, 5).await;
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_come_and_go_never_own_a_partition_together() {
    for way in WAYS {
        let bed = bed(5).await;
        let (seen, owners) = (Seen::default(), Owners::default());
        let mut running = Vec::new();
        for round in 0..12_usize {
            let name = format!("member-{round}");
            let builder = member(&bed, way, &name).await;
            running.push(run_noting(
                builder.rebalance_listener(owners.of(&name)),
                &seen,
            ));
            bed.fill(5, round * 10, 10).await;
            sleep(Duration::from_millis(700 * (round as u64 % 5))).await;
            if round % 3 == 2 {
                running.remove(round % running.len()).end().await;
            }
        }
        seen.until("the last records", |seen| {
            (0..5).all(|p| seen.of(p).last() == Some(&119))
        })
        .await;
        end_in_order(&seen, running, 5, 120).await;
    }
}

#[tokio::test(start_paused = true)]
async fn g11_closing_ends_though_partitions_come_or_are_lost_or_their_topic_goes() {
    for way in WAYS {
        for case in ["assigned", "lost", "deleted"] {
            let bed = bed(4).await;
            let seen = Seen::default();
            let first = run_noting(member(&bed, way, "first").await, &seen);
            stable_with(&bed, 1).await;
            bed.fill(4, 0, 5).await;
            seen.until_len(20).await;
            let other = run_noting(member(&bed, way, "other").await, &seen);
            stable_with(&bed, 2).await;
            match case {
                // The first member gets the other's partitions while it closes.
                "assigned" => drop(tokio::spawn(other.end())),
                "lost" => {
                    let apis = [
                        ApiKey::Heartbeat,
                        ApiKey::ConsumerGroupHeartbeat,
                        ApiKey::OffsetCommit,
                    ];
                    let fault = Fault::error(ErrorCode::UNKNOWN_MEMBER_ID)
                        .client_id("first")
                        .always();
                    bed.broker
                        .faults()
                        .add(apis.into_iter().fold(fault, Fault::on));
                    other.crash();
                }
                _ => {
                    bed.broker.inspect().delete_topic("orders");
                    other.crash();
                }
            }
            sleep(Duration::from_millis(500)).await;
            let ended = timeout(Duration::from_secs(60), first.end()).await;
            assert!(ended.is_ok(), "{way}: {case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn g12_a_commit_that_arrives_after_the_generation_has_risen_costs_no_partition() {
    for way in ["cooperative-sticky", "consumer"] {
        let bed = bed(4).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let builder = member(&bed, way, "first").await;
        let first = run_noting(builder.rebalance_listener(ear.clone()), &seen);
        bed.fill(4, 0, 10).await;
        seen.until_len(40).await;
        // Each commit takes long enough for a rebalance to overtake it.
        let slow = Fault::delay(Duration::from_secs(4))
            .on(ApiKey::OffsetCommit)
            .client_id("first");
        bed.broker.faults().add(slow.times(8));
        for round in 1..6 {
            bed.fill(4, round * 10, 10).await;
            let other = run_noting(member(&bed, way, "other").await, &seen);
            stable_with(&bed, 2).await;
            sleep(Duration::from_secs(3)).await;
            other.end().await;
        }
        seen.until("the last records", |seen| {
            (0..4).all(|p| seen.of(p).last() == Some(&59))
        })
        .await;
        assert!(!lost(&ear), "{way}: {:?}", ear.heard());
        let kept: Vec<_> = (0..4).map(|p| TopicPartition::new("orders", p)).collect();
        let revoked = |place| {
            ear.heard()
                .iter()
                .any(|h| matches!(h, Heard::Revoked(places) if places.contains(place)))
        };
        assert!(
            kept.iter().any(|place| !revoked(place)),
            "something was kept throughout"
        );
        end_in_order(&seen, vec![first], 4, 60).await;
    }
}

#[tokio::test(start_paused = true)]
async fn g14_a_commit_that_tells_of_a_lost_membership_ends_delivery_at_once() {
    for way in WAYS {
        let bed = bed(1).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let builder = member(&bed, way, "first").await;
        let first = run_noting(builder.rebalance_listener(ear.clone()), &seen);
        bed.fill(1, 0, 5).await;
        seen.until_len(5).await;
        eventually("they are committed", || bed.committed(0) == Some(5)).await;
        let gone = Fault::error(ErrorCode::UNKNOWN_MEMBER_ID).on(ApiKey::OffsetCommit);
        let gone = bed.broker.faults().add(gone);
        bed.fill(1, 5, 5).await;
        eventually("the commit is refused", || gone.fired() > 0).await;
        let heard = Instant::now();
        eventually("the partition is lost", || lost(&ear)).await;
        assert!(
            heard.elapsed() < Duration::from_secs(1),
            "{way}: not only with the next heartbeat"
        );
        eventually("it is back", || ear.now().len() == 1).await;
        bed.fill(1, 10, 5).await;
        seen.until("the last record", |seen| seen.of(0).last() == Some(&14))
            .await;
        eventually("all is committed", || bed.committed(0) == Some(15)).await;
        first.end().await;
    }
}

/// A machine that was suspended for longer than a session still has partitions that other members
/// own by now. It must release them before it sends any request.
#[tokio::test(start_paused = true)]
async fn a_member_that_stood_still_lets_go_before_it_asks() {
    for way in WAYS {
        let bed = bed(2).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let builder = member(&bed, way, "still").await;
        let running = run_noting(builder.rebalance_listener(ear.clone()), &seen);
        bed.fill(2, 0, 10).await;
        seen.until_len(20).await;
        eventually("it is committed", || bed.committed(1) == Some(10)).await;
        bed.broker.journal().clear();
        tokio::time::advance(Duration::from_secs(300)).await;
        eventually("it is back", || ear.heard().len() == 3).await;
        assert!(matches!(ear.heard()[1], Heard::Lost(_)), "{way}");
        let asked = bed.broker.journal().matching(|entry| {
            matches!(
                entry.api(),
                ApiKey::Heartbeat | ApiKey::ConsumerGroupHeartbeat | ApiKey::JoinGroup
            )
        });
        let first = asked.first().unwrap();
        match first.message().unwrap() {
            AnyRequest::JoinGroup(_) => {}
            AnyRequest::ConsumerGroupHeartbeat(beat) => assert_eq!(beat.member_epoch, 0),
            other => panic!("{way}: {other:?} came first"),
        }
        bed.fill(2, 10, 10).await;
        seen.until_len(40).await;
        running.end().await;
    }
}

/// A suspended machine also stops the clock of timers. Only the wall clock shows the suspension.
#[tokio::test(start_paused = true)]
async fn a_member_whose_machine_was_suspended_lets_go_before_it_asks() {
    for way in WAYS {
        let bed = bed(2).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let slept = Arc::new(AtomicI64::new(0));
        let wall = Arc::clone(&slept);
        let start = Instant::now();
        let builder = member(&bed, way, "asleep").await.clock(move || {
            let awake = i64::try_from(start.elapsed().as_millis()).unwrap();
            Timestamp::from_millis(awake + wall.load(Ordering::Relaxed))
        });
        let running = run_noting(builder.rebalance_listener(ear.clone()), &seen);
        bed.fill(2, 0, 10).await;
        seen.until_len(20).await;
        eventually("it is committed", || bed.committed(1) == Some(10)).await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(ear.heard().len(), 1, "{way}: time that goes by is no sleep");
        slept.fetch_add(300_000, Ordering::Relaxed);
        eventually("it is back", || ear.heard().len() == 3).await;
        assert!(matches!(ear.heard()[1], Heard::Lost(_)), "{way}");
        bed.fill(2, 10, 10).await;
        seen.until_len(40).await;
        running.end().await;
    }
}

/// While a group has no coordinator, its partitions go to no other member. A new coordinator starts
/// all sessions again.
#[tokio::test(start_paused = true)]
async fn a_member_keeps_its_partitions_until_the_coordinator_says_that_they_are_others() {
    for way in WAYS {
        let bed = bed(2).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let builder = member(&bed, way, "patient").await;
        let running = run_noting(builder.rebalance_listener(ear.clone()), &seen);
        bed.fill(2, 0, 10).await;
        seen.until_len(20).await;
        eventually("it is committed", || bed.committed(1) == Some(10)).await;
        let loading = Fault::error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
            .on(ApiKey::Heartbeat)
            .on(ApiKey::ConsumerGroupHeartbeat)
            .on(ApiKey::JoinGroup);
        let loading = bed
            .broker
            .faults()
            .add(loading.client_id("patient").always());
        sleep(Duration::from_secs(30)).await;
        bed.fill(2, 10, 10).await;
        seen.until_len(40).await;
        sleep(Duration::from_secs(60)).await;
        // The coordinator has removed the member by now, and has not told it.
        assert_eq!(ear.heard().len(), 1, "{way}: {:?}", ear.heard());
        assert_eq!(members(&bed), 0, "{way}");
        loading.remove();
        eventually("it heard of it, and is back", || ear.heard().len() == 3).await;
        assert!(matches!(ear.heard()[1], Heard::Lost(_)), "{way}");
        bed.fill(2, 20, 10).await;
        seen.until("the last record of each partition", |seen| {
            (0..2).all(|p| seen.of(p).last() == Some(&29))
        })
        .await;
        running.end().await;
    }
}

/// A coordinator that still counts a member in its generation accepts it in the same one. The
/// verdict on the lost membership must not apply to the new one.
#[tokio::test(start_paused = true)]
async fn a_member_that_joins_again_in_the_same_generation_starts_with_a_clean_verdict() {
    for way in ["range", "cooperative-sticky"] {
        let bed = bed(4).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let leader = run_noting(member(&bed, way, "leader").await, &seen);
        stable_with(&bed, 1).await;
        let builder = member(&bed, way, "follower").await;
        let follower = run_noting(builder.rebalance_listener(ear.clone()), &seen);
        stable_with(&bed, 2).await;
        eventually("it has its share", || ear.now().len() == 2).await;
        let generation = bed.broker.inspect().group("billing").unwrap().generation;
        bed.broker.journal().clear();
        // The broker in the test refuses the commit by a fault. The coordinator itself still counts
        // the member.
        let refused = Fault::error(ErrorCode::FENCED_MEMBER_EPOCH)
            .on(ApiKey::OffsetCommit)
            .client_id("follower");
        let refused = bed.broker.faults().add(refused.times(1));
        bed.fill(4, 0, 10).await;
        eventually("it is refused", || refused.fired() == 1).await;
        eventually("it is back", || lost(&ear) && ear.now().len() == 2).await;
        sleep(Duration::from_secs(60)).await;
        let losses = ear
            .heard()
            .iter()
            .filter(|h| matches!(h, Heard::Lost(_)))
            .count();
        assert_eq!(losses, 1, "{way}: {:?}", ear.heard());
        let joins = bed
            .broker
            .journal()
            .matching(|entry| entry.api() == ApiKey::JoinGroup);
        assert!(joins.len() <= 4, "{way}: {} joins", joins.len());
        let now = bed.broker.inspect().group("billing").unwrap().generation;
        assert!(now <= generation + 1, "{way}: {now} after {generation}");
        follower.end().await;
        leader.end().await;
    }
}

/// The coordinator accepts the member and drops it at once, again and again.
#[tokio::test(start_paused = true)]
async fn a_member_that_is_thrown_out_again_and_again_joins_with_a_backoff() {
    for way in WAYS {
        let bed = bed(1).await;
        let ear = Ear::default();
        let builder = member(&bed, way, "unwanted").await;
        let unknown = Fault::error(ErrorCode::UNKNOWN_MEMBER_ID)
            .on(ApiKey::OffsetFetch)
            .on(ApiKey::Heartbeat);
        let unknown = bed.broker.faults().add(unknown.always());
        let running = run_noting(builder.rebalance_listener(ear.clone()), &Seen::default());
        sleep(Duration::from_secs(60)).await;
        let heard = ear.heard();
        let losses = heard.iter().filter(|h| matches!(h, Heard::Lost(_)));
        let losses = losses.count();
        assert!((1..250).contains(&losses), "{way}: {losses} in a minute");
        unknown.remove();
        running.end().await;
    }
}
