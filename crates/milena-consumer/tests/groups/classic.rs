//! Classic groups. Partitions that move stop while the others go on, members come back,
//! subscriptions change, and errors name their cause.

use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{Assignor, GroupAssignment, GroupMember, GroupProtocol, GroupTopics};
use milena_core::{ErrorKind, Gauge, Offset, Partition, TopicPartition, Value};
use tokio::time::{Instant, sleep, timeout};

use crate::bed::ear::{Ear, Heard};
use crate::bed::members::{members, stable_with};
use crate::bed::reading::place;
use crate::bed::{LIMIT, Running, Seen, bed, bed_with, eventually, fill, run, run_noting};

#[tokio::test(start_paused = true)]
async fn a_rebalance_stops_what_moves_and_nothing_else() {
    let bed = bed(4).await;
    let (seen, ear) = (Seen::default(), Ear::default());
    let noted = seen.clone();
    let slow = move |partition: Partition, Value(value): Value| {
        let noted = noted.clone();
        async move {
            if partition == Partition::new(0) {
                sleep(Duration::from_secs(20)).await;
            }
            noted.note_parts(partition, &value);
        }
    };
    let builder = bed.classic("first").await.rebalance_listener(ear.clone());
    let first = run(builder, slow);
    stable_with(&bed, 1).await;
    bed.fill(4, 0, 1).await;
    seen.until_len(3).await;
    let second = run_noting(bed.classic("second").await, &seen);
    let started = Instant::now();
    eventually("the first member hears of the second", || {
        members(&bed) == 2
    })
    .await;
    bed.fill(4, 1, 1).await;
    seen.until("the kept partitions go on", |seen| seen.of(3).len() == 2)
        .await;
    assert!(
        started.elapsed() < Duration::from_secs(15),
        "while partition 0 drains"
    );
    seen.until("all is processed", |seen| {
        (0..4).all(|p| seen.of(p) == [0, 1])
    })
    .await;
    let moved = vec![place(0), place(1)];
    let all = (0..4).map(place).collect();
    assert_eq!(ear.heard(), [Heard::Assigned(all), Heard::Revoked(moved)]);
    first.end().await;
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn every_assignor_divides_a_group_and_hands_over_when_members_come_and_go() {
    for name in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
        let bed = bed(5).await;
        let seen = Seen::default();
        let member = async |id: &str| run_noting(bed.classic(id).await.assignors([name]), &seen);
        let first = member("first").await;
        bed.fill(5, 0, 20).await;
        seen.until_len(100).await;
        let second = member("second").await;
        stable_with(&bed, 2).await;
        let group = bed.broker.inspect().group("billing").unwrap();
        assert_eq!(group.protocol.as_deref(), Some(name));
        bed.fill(5, 20, 20).await;
        seen.until_len(200).await;
        first.end().await;
        bed.fill(5, 40, 20).await;
        seen.until_len(300).await;
        second.end().await;
        for partition in 0..5 {
            assert_eq!(seen.of(partition), (0..60).collect::<Vec<_>>(), "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_consumers_with_one_instance_id_the_older_ends_with_a_typed_error() {
    let bed = bed(2).await;
    let seen = Seen::default();
    let fixed = async || run_noting(bed.classic("twin").await.group_instance_id("pod-1"), &seen);
    let first = fixed().await;
    stable_with(&bed, 1).await;
    let second = fixed().await;
    let error = first.ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(error.place().setting.as_deref(), Some("group.instance.id"));
    bed.fill(2, 0, 3).await;
    seen.until_len(6).await;
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn another_subscription_takes_effect_while_running_and_what_is_in_both_goes_on() {
    let bed = bed_with(2, |b| b.topic("payments", 2).topic("refunds", 1)).await;
    let ear = Ear::default();
    let builder = bed.classic_of(&["orders", "payments"]).await;
    let consumer = Arc::new(builder.rebalance_listener(ear.clone()).build().unwrap());
    let running = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.run(async || {}).await }
    });
    eventually("four partitions", || ear.now().len() == 4).await;
    consumer.subscribe(["payments", "refunds"]).unwrap();
    eventually("the new topic is read", || {
        ear.now()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            == ["payments-0", "payments-1", "refunds-0"]
    })
    .await;
    let revoked: Vec<_> = ear
        .heard()
        .into_iter()
        .filter(|h| matches!(h, Heard::Revoked(_)))
        .collect();
    assert_eq!(revoked, [Heard::Revoked(vec![place(0), place(1)])]);
    assert!(
        consumer.subscribe(Vec::<&str>::new()).is_err(),
        "nothing is no subscription"
    );
    assert!(consumer.subscribe_pattern("(").is_err());
    assert_eq!(consumer.subscription().len(), 2);
    consumer.close().await;
    timeout(LIMIT, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_can_be_asked_for_and_interrupts_nothing() {
    for assignor in ["cooperative-sticky", "range"] {
        let bed = bed(2).await;
        let ears = [Ear::default(), Ear::default()];
        let mut consumers = Vec::new();
        for (name, ear) in ["a", "b"].iter().zip(&ears) {
            let builder = bed.classic(name).await.assignors([assignor]);
            let consumer = Arc::new(builder.rebalance_listener(ear.clone()).build().unwrap());
            let running = Arc::clone(&consumer);
            consumers.push((
                consumer,
                tokio::spawn(async move { running.run(async || {}).await }),
            ));
        }
        eventually("both have one", || {
            ears.iter().all(|ear| ear.now().len() == 1)
        })
        .await;
        stable_with(&bed, 2).await;
        for (consumer, _) in &consumers {
            let before = bed.broker.inspect().group("billing").unwrap().generation;
            let heard = ears.each_ref().map(|ear| ear.heard().len());
            consumer.enforce_rebalance("a test");
            eventually("another generation", || {
                bed.broker.inspect().group("billing").unwrap().generation > before
            })
            .await;
            stable_with(&bed, 2).await;
            if assignor == "cooperative-sticky" {
                assert_eq!(ears.each_ref().map(|ear| ear.heard().len()), heard);
            }
            eventually("both have one", || {
                ears.iter().all(|ear| ear.now().len() == 1)
            })
            .await;
        }
        for (consumer, running) in consumers {
            consumer.close().await;
            timeout(LIMIT, running).await.unwrap().unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_member_joins_a_rebalance_without_a_pause() {
    let bed = bed(1).await;
    let consumer = Arc::new(bed.classic("one").await.build().unwrap());
    let running = Arc::clone(&consumer);
    let running = tokio::spawn(async move { running.run(async || {}).await });
    stable_with(&bed, 1).await;
    let generation = || bed.broker.inspect().group("billing").unwrap().generation;
    let before = generation();
    let asked = Instant::now();
    consumer.enforce_rebalance("a test");
    eventually("another generation", || generation() > before).await;
    // The first join was refused once, since it had no member id yet. That is no lost membership,
    // after which a join waits for at least 80 ms.
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(60), "{took:?}");
    consumer.close().await;
    timeout(LIMIT, running).await.unwrap().unwrap().unwrap();
}

/// Assigns everything to the first member.
struct OneReader;

impl Assignor for OneReader {
    fn name(&self) -> &str {
        "one-reader"
    }

    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
        let first = members.iter().min_by_key(|member| &member.id).unwrap();
        [(first.id.clone(), topics.partitions().collect())].into()
    }
}

/// Assigns everything to every member, which is not allowed.
struct Careless;

impl Assignor for Careless {
    fn name(&self) -> &str {
        "careless"
    }

    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
        let everything = |member: &GroupMember| (member.id.clone(), topics.partitions().collect());
        members.iter().map(everything).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_assignor_of_ones_own_is_used_and_one_that_gives_a_partition_twice_is_refused() {
    let bed = bed(3).await;
    let seen = Seen::default();
    let one = run_noting(bed.classic("a").await.add_assignor(OneReader), &seen);
    let two = run_noting(bed.classic("b").await.add_assignor(OneReader), &seen);
    stable_with(&bed, 2).await;
    bed.fill(3, 0, 4).await;
    seen.until_len(12).await;
    let reports = [one.end().await.processed, two.end().await.processed];
    assert!(reports.contains(&0), "{reports:?}");

    let one = run_noting(bed.classic("a").await.add_assignor(Careless), &seen);
    stable_with(&bed, 1).await;
    let two = run_noting(bed.classic("b").await.add_assignor(Careless), &seen);
    let error = one.ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("`careless` gave"), "{error}");
    two.crash();
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_seek_before_the_first_record_and_hears_of_a_loss() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let ear = Ear::default();
    let consumer = bed.classic("one").await.rebalance_listener(ear.clone());
    let consumer = Arc::new(consumer.build().unwrap());
    let seeker = Arc::downgrade(&consumer);
    ear.on_assigned(move |partitions| {
        let consumer = seeker.upgrade().unwrap();
        for partition in partitions {
            consumer.seek(partition, Offset::from(7)).unwrap();
        }
    });
    let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    assert_eq!(record.offset, Offset::from(7));
    // The coordinator forgets the member.
    bed.broker
        .faults()
        .add(Fault::error(ErrorCode::UNKNOWN_MEMBER_ID).on(milena_broker::ApiKey::Heartbeat));
    let next = timeout(LIMIT, async {
        loop {
            let record = consumer.recv().await.unwrap();
            if ear.heard().len() > 2 {
                return record;
            }
        }
    });
    bed.fill(1, 10, 1).await;
    let filler = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            bed.fill(1, 11, 1).await;
        }
    };
    tokio::select! { record = next => drop(record.unwrap()), () = filler => {} }
    let heard = ear.heard();
    assert_eq!(heard[1], Heard::Lost(vec![place(0)]));
    assert_eq!(heard[2], Heard::Assigned(vec![place(0)]));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_told_with_the_setting_to_change() {
    let bed = bed(1).await;
    let wrong = bed
        .classic("a")
        .await
        .assignors(["rnage"])
        .build()
        .unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Config);
    assert_eq!(
        wrong.place().setting.as_deref(),
        Some("partition.assignment.strategy")
    );
    let wrong = bed
        .classic("a")
        .await
        .topic_pattern("(")
        .build()
        .unwrap_err();
    assert_eq!(wrong.place().setting.as_deref(), Some("topic_pattern"));
    let wrong = bed.classic_of(&[]).await.build().unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Config);

    let refused = Fault::error(ErrorCode::INVALID_GROUP_ID).on(milena_broker::ApiKey::JoinGroup);
    bed.broker.faults().add(refused);
    let error = run_noting(bed.classic("a").await, &Seen::default())
        .ended()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_GROUP_ID));
    assert_eq!(error.place().setting.as_deref(), Some("group.id"));
}

#[tokio::test(start_paused = true)]
async fn beside_members_with_other_assignors_the_error_names_both_sets() {
    let bed = bed(1).await;
    let range = run_noting(
        bed.classic("a").await.assignors(["range"]),
        &Seen::default(),
    );
    stable_with(&bed, 1).await;
    let builder = bed.classic("b").await.assignors(["sticky", "roundrobin"]);
    let error = run_noting(builder, &Seen::default())
        .ended()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INCONSISTENT_GROUP_PROTOCOL));
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(
        why.contains("`range`") && why.contains("`sticky`, `roundrobin`"),
        "{why}"
    );
    range.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_moves_from_range_to_cooperative_in_two_rounds() {
    let bed = bed(4).await;
    let seen = Seen::default();
    let old = run_noting(bed.classic("old").await.assignors(["range"]), &seen);
    let both = ["cooperative-sticky", "range"];
    let first = run_noting(bed.classic("new-1").await.assignors(both), &seen);
    stable_with(&bed, 2).await;
    bed.fill(4, 0, 10).await;
    seen.until_len(40).await;
    old.end().await;
    let second = run_noting(
        bed.classic("new-2").await.assignors(["cooperative-sticky"]),
        &seen,
    );
    stable_with(&bed, 2).await;
    bed.fill(4, 10, 10).await;
    seen.until_len(80).await;
    let group = bed.broker.inspect().group("billing").unwrap();
    assert_eq!(group.protocol.as_deref(), Some("cooperative-sticky"));
    first.end().await;
    second.end().await;
    for partition in 0..4 {
        assert_eq!(seen.of(partition), (0..20).collect::<Vec<_>>());
    }
}

/// A listener that takes long when partitions are assigned.
struct Slow(Ear);

impl milena_consumer::RebalanceListener for Slow {
    async fn assigned(&self, _: &[TopicPartition]) {
        sleep(Duration::from_secs(25)).await;
    }

    async fn lost(&self, partitions: &[TopicPartition]) {
        milena_consumer::RebalanceListener::lost(&self.0, partitions).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_not_kept_waiting_by_a_slow_listener() {
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        let bed = bed(1).await;
        let ear = Ear::default();
        let builder = bed.builder_as("one").await.group_protocol(protocol);
        let consumer = builder
            .rebalance_listener(Slow(ear.clone()))
            .build()
            .unwrap();
        let stop = consumer.shutdown_handle();
        let consumer = Arc::new(consumer);
        let running = tokio::spawn({
            let consumer = Arc::clone(&consumer);
            async move { consumer.run(async || {}).await }
        });
        eventually("the listener is at it", || {
            !consumer.assignment().is_empty()
        })
        .await;
        let beats = [
            milena_broker::ApiKey::Heartbeat,
            milena_broker::ApiKey::ConsumerGroupHeartbeat,
        ];
        let gone = Fault::error(ErrorCode::UNKNOWN_MEMBER_ID);
        bed.broker
            .faults()
            .add(beats.into_iter().fold(gone, Fault::on));
        let started = Instant::now();
        eventually("it is lost", || !ear.heard().is_empty()).await;
        assert!(started.elapsed() < Duration::from_secs(10), "{protocol:?}");
        stop.shutdown();
        timeout(LIMIT, running).await.unwrap().unwrap().unwrap();
    }
}

/// A deleted topic leaves the assignment and the others go on, both under topic names and under
/// topic ids.
#[tokio::test(start_paused = true)]
async fn a_deleted_topic_leaves_the_assignment_and_its_figures_go_with_it() {
    for pattern in [false, true] {
        let bed = bed_with(2, |b| b.topic("payments", 2).journal(100_000)).await;
        let ear = Ear::default();
        let builder = match pattern {
            true => bed.classic_of(&[]).await.topic_pattern("orders|payments"),
            false => bed.classic_of(&["orders", "payments"]).await,
        };
        let consumer = builder.rebalance_listener(ear.clone()).build().unwrap();
        let gauges = consumer.gauges();
        let stop = consumer.shutdown_handle();
        let seen = Seen::default();
        let noting = seen.clone();
        let running = Running::spawn(stop, async move {
            let handler = move |partition: Partition, Value(value): Value| {
                let seen = noting.clone();
                async move { seen.note_parts(partition, &value) }
            };
            consumer.run(handler).await
        });
        bed.fill(2, 0, 5).await;
        fill(&bed.cluster("filler").await, "payments", 2, 0, 5).await;
        seen.until_len(20).await;
        eventually("all four are read", || ear.now().len() == 4).await;
        eventually("it is committed", || bed.committed(0) == Some(5)).await;
        assert!(bed.broker.inspect().delete_topic("payments"));
        eventually("it is let go", || ear.now().len() == 2).await;
        gauges.read(&mut |gauge| {
            if let Gauge::Lag { partition, .. } | Gauge::LagTime { partition, .. } = gauge {
                assert_eq!(&*partition.topic, "orders");
            }
        });
        bed.broker.journal().clear();
        sleep(Duration::from_secs(100)).await;
        assert!(ear.now().iter().all(|place| &*place.topic == "orders"));
        let joins = bed
            .broker
            .journal()
            .matching(|entry| entry.api() == ApiKey::JoinGroup);
        assert!(joins.len() <= 1, "{pattern}: {} joins", joins.len());
        bed.fill(2, 5, 5).await;
        seen.until_len(30).await;
        bed.broker.inspect().create_topic("payments", 3).unwrap();
        eventually("it is read again", || ear.now().len() == 5).await;
        running.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_calls_a_topic_broken_for_a_moment_moves_nothing() {
    for code in [
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ] {
        for pattern in [false, true] {
            let bed = bed(2).await;
            let ear = Ear::default();
            let builder = match pattern {
                true => bed.classic_of(&[]).await.topic_pattern("orders"),
                false => bed.classic_of(&["orders"]).await,
            };
            let running = run_noting(builder.rebalance_listener(ear.clone()), &Seen::default());
            eventually("both are read", || ear.now().len() == 2).await;
            let fault = Fault::error(code).on(ApiKey::Metadata);
            let fault = bed.broker.faults().add(fault.times(1));
            eventually("it is told", || fault.fired() == 1).await;
            sleep(Duration::from_secs(30)).await;
            assert_eq!(ear.heard().len(), 1, "{code} {pattern}: {:?}", ear.heard());
            running.end().await;
        }
    }
}
