//! Behaviour of groups under both protocols, such as the members that stay and the topics that a
//! pattern reads.

use std::time::Duration;

use milena_consumer::{ConsumerBuilder, GroupMembershipOperation, GroupProtocol};
use tokio::time::{Instant, sleep};

use crate::bed::ear::Ear;
use crate::bed::members::{members, stable_with};
use crate::bed::{Bed, Running, Seen, bed, bed_with, eventually, run, run_noting};

const PROTOCOLS: [GroupProtocol; 2] = [GroupProtocol::Classic, GroupProtocol::Consumer];

async fn member(bed: &Bed, client_id: &str, protocol: GroupProtocol) -> ConsumerBuilder {
    bed.builder_as(client_id).await.group_protocol(protocol)
}

/// Starts the static member `pod-1`.
async fn static_member(bed: &Bed, protocol: GroupProtocol, seen: &Seen) -> Running {
    let builder = member(bed, "fixed", protocol).await;
    run_noting(builder.group_instance_id("pod-1"), seen)
}

/// Waits until two members share four partitions and have read five records of each.
async fn both_have_read(bed: &Bed, ear: &Ear, seen: &Seen) {
    stable_with(bed, 2).await;
    eventually("the partitions are shared", || ear.now().len() == 2).await;
    bed.fill(4, 0, 5).await;
    seen.until_len(20).await;
}

#[tokio::test(start_paused = true)]
async fn a_static_member_comes_back_to_its_partitions_and_nobody_else_notices() {
    for protocol in PROTOCOLS {
        let bed = bed(4).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let other = member(&bed, "other", protocol).await;
        let other = run_noting(other.rebalance_listener(ear.clone()), &seen);
        let first = static_member(&bed, protocol, &seen).await;
        both_have_read(&bed, &ear, &seen).await;
        let before = bed.broker.inspect().group("billing").unwrap();
        first.end().await;
        assert_eq!(members(&bed), 2, "{protocol:?}: it stays a member");
        let again = static_member(&bed, protocol, &seen).await;
        bed.fill(4, 5, 5).await;
        seen.until_len(40).await;
        let after = bed.broker.inspect().group("billing").unwrap();
        // Under the consumer protocol this value is the group epoch.
        assert_eq!(
            after.generation, before.generation,
            "{protocol:?}: no rebalance"
        );
        assert_eq!(ear.heard().len(), 2, "assigned all, then revoked half");
        again.end().await;
        other.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_static_member_that_was_killed_gets_in_again_and_nobody_else_notices() {
    for protocol in PROTOCOLS {
        let bed = bed(4).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let other = member(&bed, "other", protocol).await;
        let other = run_noting(other.rebalance_listener(ear.clone()), &seen);
        let first = static_member(&bed, protocol, &seen).await;
        both_have_read(&bed, &ear, &seen).await;
        let all = || {
            (0..4)
                .filter_map(|partition| bed.committed(partition))
                .sum::<i64>()
        };
        eventually("all is committed", || all() == 20).await;
        let (kept, before) = (ear.now(), bed.broker.inspect().group("billing").unwrap());
        first.crash();
        let began = Instant::now();
        let again = static_member(&bed, protocol, &seen).await;
        bed.fill(4, 5, 5).await;
        seen.until_len(40).await;
        // A coordinator gives a held id of the consumer protocol away once its session has ended,
        // which takes 45 s. In a classic group, who joins last gets it at once.
        let most = match protocol {
            GroupProtocol::Classic => 5,
            _ => 60,
        };
        let took = began.elapsed();
        assert!(took < Duration::from_secs(most), "{protocol:?}: {took:?}");
        if protocol == GroupProtocol::Classic {
            let after = bed.broker.inspect().group("billing").unwrap();
            assert_eq!(after.generation, before.generation, "no rebalance");
            assert_eq!(ear.heard().len(), 2, "assigned all, then revoked half");
        }
        stable_with(&bed, 2).await;
        eventually("the partitions are shared", || ear.now().len() == 2).await;
        assert!(ear.now().is_subset(&kept) || protocol != GroupProtocol::Classic);
        for partition in 0..4 {
            assert_eq!(
                seen.of(partition),
                (0..10).collect::<Vec<_>>(),
                "{protocol:?}"
            );
        }
        again.end().await;
        other.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn static_members_outlive_a_restart_of_their_coordinator() {
    for protocol in PROTOCOLS {
        let bed = bed(4).await;
        let seen = Seen::default();
        let (ears, mut running) = ([Ear::default(), Ear::default()], Vec::new());
        for (id, ear) in ["pod-0", "pod-1"].into_iter().zip(&ears) {
            let builder = member(&bed, id, protocol).await.group_instance_id(id);
            running.push(run_noting(builder.rebalance_listener(ear.clone()), &seen));
        }
        stable_with(&bed, 2).await;
        let halves = || ears.iter().all(|ear| ear.now().len() == 2);
        eventually("the partitions are shared", halves).await;
        bed.fill(4, 0, 5).await;
        seen.until_len(20).await;
        let held = ears.each_ref().map(|ear| (ear.now(), ear.heard().len()));
        let inspect = bed.broker.inspect();
        let coordinator = inspect.coordinator("billing").unwrap();
        inspect.broker_down(coordinator);
        sleep(Duration::from_secs(20)).await;
        inspect.broker_up(coordinator);
        bed.fill(4, 5, 5).await;
        seen.until_len(40).await;
        sleep(Duration::from_secs(120)).await;
        let now = ears.each_ref().map(|ear| (ear.now(), ear.heard().len()));
        assert_eq!(now, held, "{protocol:?}: nothing was taken or given");
        for partition in 0..4 {
            assert_eq!(
                seen.of(partition),
                (0..10).collect::<Vec<_>>(),
                "{protocol:?}"
            );
        }
        for running in running {
            assert!(!running.is_over(), "{protocol:?}: no id is fenced");
            running.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_leaves_or_stays_at_the_end_as_it_is_told() {
    use GroupMembershipOperation::{Default, LeaveGroup, RemainInGroup};
    for protocol in PROTOCOLS {
        for (operation, instance, stays) in [
            (Default, None, false),
            (Default, Some("pod-1"), true),
            (LeaveGroup, Some("pod-1"), false),
            (RemainInGroup, None, true),
        ] {
            let bed = bed(2).await;
            let builder = member(&bed, "one", protocol).await;
            let builder = builder.group_membership_on_close(operation);
            let builder = match instance {
                Some(id) => builder.group_instance_id(id),
                None => builder,
            };
            let running = run_noting(builder, &Seen::default());
            stable_with(&bed, 1).await;
            running.end().await;
            assert_eq!(
                members(&bed),
                usize::from(stays),
                "{protocol:?} {operation:?} {instance:?}"
            );
            eventually("the session is over", || members(&bed) == 0).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pattern_reads_what_fits_as_a_whole_also_topics_and_partitions_that_come_later() {
    for protocol in PROTOCOLS {
        let bed = bed_with(1, |b| {
            b.topic("orders.eu", 1)
                .topic("old-orders", 1)
                .topic("__consumer_offsets", 1)
        })
        .await;
        let ear = Ear::default();
        let builder = bed.classic_of(&[]).await.group_protocol(protocol);
        let builder = builder.topic_pattern(r"orders(\..+)?|__.*");
        let running = run(builder.rebalance_listener(ear.clone()), async || {});
        let names = |ear: &Ear| {
            ear.now()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        eventually("both topics are read", || names(&ear).len() >= 2).await;
        bed.broker.inspect().create_topic("orders.us", 1).unwrap();
        bed.broker.inspect().add_partitions("orders", 2).unwrap();
        eventually("the new ones, too", || names(&ear).len() >= 4).await;
        assert_eq!(
            names(&ear),
            ["orders-0", "orders-1", "orders.eu-0", "orders.us-0"]
        );
        running.end().await;
    }
}
