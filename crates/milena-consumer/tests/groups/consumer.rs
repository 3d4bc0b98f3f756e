//! Groups of the consumer protocol (KIP-848). The coordinator assigns, and a change moves only the
//! partitions that it must.

use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{ConsumerBuilder, GroupProtocol};
use milena_core::{ErrorKind, Event, Partition, Value};
use milena_protocol::any::AnyRequest;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::bed::ear::{Ear, Heard};
use crate::bed::members::{members, stable_with};
use crate::bed::reading::place;
use crate::bed::{Bed, LIMIT, Seen, bed, bed_with, eventually, fill, run, run_noting};

async fn modern(partitions: u32) -> Bed {
    bed(partitions).await
}

impl Bed {
    async fn consumer(&self, client_id: &str) -> ConsumerBuilder {
        let builder = self.builder_as(client_id).await;
        builder.group_protocol(GroupProtocol::Consumer)
    }

    fn kind(&self) -> &'static str {
        self.broker.inspect().group("billing").unwrap().kind.name()
    }
}

#[tokio::test(start_paused = true)]
async fn members_share_partitions_and_hand_over_without_loss_or_repeat() {
    let bed = modern(6).await;
    let seen = Seen::default();
    let first = run_noting(bed.consumer("first").await, &seen);
    bed.fill(6, 0, 50).await;
    seen.until_len(300).await;
    let second = run_noting(bed.consumer("second").await, &seen);
    stable_with(&bed, 2).await;
    assert_eq!(bed.kind(), "consumer");
    bed.fill(6, 50, 50).await;
    seen.until_len(600).await;
    let third = run_noting(bed.consumer("third").await, &seen);
    stable_with(&bed, 3).await;
    bed.fill(6, 100, 50).await;
    seen.until_len(900).await;
    assert!(first.end().await.processed > 300);
    assert!(
        second.end().await.processed > 0,
        "the second member had its share"
    );
    bed.fill(6, 150, 50).await;
    seen.until_len(1_200).await;
    third.end().await;
    for partition in 0..6 {
        assert_eq!(seen.of(partition), (0..200).collect::<Vec<_>>());
        assert_eq!(bed.committed(partition), Some(200));
    }
    assert_eq!(members(&bed), 0, "all have left");
}

#[tokio::test(start_paused = true)]
async fn a_change_stops_what_moves_and_nothing_else() {
    let bed = modern(4).await;
    let (seen, ear) = (Seen::default(), Ear::default());
    let noted = seen.clone();
    let slow = move |partition: Partition, Value(value): Value| {
        let noted = noted.clone();
        async move {
            if partition == Partition::new(3) {
                sleep(Duration::from_secs(20)).await;
            }
            noted.note_parts(partition, &value);
        }
    };
    let builder = bed.consumer("first").await.rebalance_listener(ear.clone());
    let first = run(builder, slow);
    stable_with(&bed, 1).await;
    bed.fill(4, 0, 1).await;
    seen.until_len(3).await;
    let second = run_noting(bed.consumer("second").await, &seen);
    let started = Instant::now();
    eventually("the second is a member", || members(&bed) == 2).await;
    sleep(Duration::from_secs(6)).await;
    bed.fill(4, 1, 1).await;
    seen.until("the kept partitions go on", |seen| seen.of(0).len() == 2)
        .await;
    assert!(
        started.elapsed() < Duration::from_secs(18),
        "while partition 3 drains"
    );
    seen.until("all is processed", |seen| {
        (0..4).all(|p| seen.of(p) == [0, 1])
    })
    .await;
    let heard = ear.heard();
    assert_eq!(heard[0], Heard::Assigned((0..4).map(place).collect()));
    assert_eq!(heard[1], Heard::Revoked(vec![place(2), place(3)]));
    assert_eq!(heard.len(), 2);
    first.end().await;
    second.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_member_is_replaced_after_its_session_and_nothing_is_skipped() {
    let bed = modern(2).await;
    bed.fill(2, 0, 40).await;
    let (first, second) = (Seen::default(), Seen::default());
    let running = run_noting(bed.consumer("first").await, &first);
    first.until_len(80).await;
    running.crash();
    bed.fill(2, 40, 10).await;
    let running = run_noting(bed.consumer("second").await, &second);
    second
        .until("the last records", |seen| {
            [0, 1].iter().all(|p| seen.of(*p).last() == Some(&49))
        })
        .await;
    running.end().await;
    for partition in [0, 1] {
        let values = second.of(partition);
        assert_eq!(values, (values[0]..50).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_twin_waits_for_the_others_session_and_ends_with_a_typed_error() {
    let bed = modern(2).await;
    let seen = Seen::default();
    let fixed = async || run_noting(bed.consumer("twin").await.group_instance_id("pod-1"), &seen);
    let first = fixed().await;
    stable_with(&bed, 1).await;
    let error = fixed().await.ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(error.place().setting.as_deref(), Some("group.instance.id"));
    first.crash();
    let heir = fixed().await;
    bed.fill(2, 0, 3).await;
    seen.until_len(6).await;
    heir.end().await;
}

#[tokio::test(start_paused = true)]
async fn another_subscription_takes_effect_while_running_and_what_is_in_both_goes_on() {
    let bed = bed_with(2, |b| b.topic("payments", 2).topic("refunds", 1)).await;
    let ear = Ear::default();
    let builder = bed.classic_of(&["orders", "payments"]).await;
    let builder = builder.group_protocol(GroupProtocol::Consumer);
    let consumer = Arc::new(builder.rebalance_listener(ear.clone()).build().unwrap());
    let running = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move { consumer.run(async || {}).await }
    });
    let names = |ear: &Ear| {
        ear.now()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    eventually("four partitions", || names(&ear).len() == 4).await;
    consumer.subscribe(["payments", "refunds"]).unwrap();
    let expected = ["payments-0", "payments-1", "refunds-0"];
    eventually("the new topic is read", || names(&ear) == expected).await;
    consumer.subscribe_pattern("refu.*").unwrap();
    eventually("the pattern's topic is read", || {
        names(&ear) == ["refunds-0"]
    })
    .await;
    consumer.subscribe(["orders"]).unwrap();
    eventually("the pattern is taken back", || {
        names(&ear) == ["orders-0", "orders-1"]
    })
    .await;
    assert!(
        !ear.heard()
            .iter()
            .any(|heard| matches!(heard, Heard::Lost(_)))
    );
    consumer.close().await;
    timeout(LIMIT, running).await.unwrap().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_fenced_member_lets_everything_go_and_joins_again() {
    for code in [ErrorCode::FENCED_MEMBER_EPOCH, ErrorCode::UNKNOWN_MEMBER_ID] {
        let bed = modern(2).await;
        let (seen, ear) = (Seen::default(), Ear::default());
        let builder = bed
            .consumer("consumer")
            .await
            .rebalance_listener(ear.clone());
        let running = run_noting(builder, &seen);
        bed.fill(2, 0, 10).await;
        seen.until_len(20).await;
        let all: Vec<_> = (0..2).map(place).collect();
        eventually("all is committed", || {
            bed.committed(0) == Some(10) && bed.committed(1) == Some(10)
        })
        .await;
        bed.broker
            .faults()
            .add(Fault::error(code).on(ApiKey::ConsumerGroupHeartbeat));
        eventually("it is back", || ear.heard().len() == 3).await;
        assert_eq!(
            ear.heard()[1..],
            [Heard::Lost(all.clone()), Heard::Assigned(all)]
        );
        bed.fill(2, 10, 10).await;
        seen.until_len(40).await;
        let report = running.end().await;
        assert_eq!((report.processed, report.late), (40, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_committed_offsets_names_its_epoch() {
    let bed = modern(2).await;
    bed.fill(2, 0, 10).await;
    let seen = Seen::default();
    let running = run_noting(bed.consumer("consumer").await, &seen);
    seen.until_len(20).await;
    let member = bed.broker.inspect().group("billing").unwrap().members[0]
        .id
        .clone();
    let asked = bed.broker.journal().requests(ApiKey::OffsetFetch);
    assert!(!asked.is_empty());
    for entry in asked {
        let Some(AnyRequest::OffsetFetch(request)) = entry.message() else {
            panic!("asked for requests of this kind");
        };
        let group = &request.groups[0];
        assert_eq!(group.member_id.as_deref(), Some(member.as_str()));
        assert!(group.member_epoch > 0);
    }
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stale_epoch_in_a_question_for_committed_offsets_is_asked_again_and_resets_nothing() {
    survives(Fault::error(ErrorCode::STALE_MEMBER_EPOCH).on(ApiKey::OffsetFetch)).await;
    survives(
        Fault::error(ErrorCode::STALE_MEMBER_EPOCH)
            .on(ApiKey::OffsetFetch)
            .times(3),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_its_coordinator_forgot_hears_of_it_when_it_asks_for_committed_offsets() {
    let bed = modern(2).await;
    let (seen, ear) = (Seen::default(), Ear::default());
    bed.fill(2, 0, 10).await;
    bed.broker
        .faults()
        .add(Fault::error(ErrorCode::UNKNOWN_MEMBER_ID).on(ApiKey::OffsetFetch));
    let builder = bed
        .consumer("consumer")
        .await
        .rebalance_listener(ear.clone());
    let running = run_noting(builder, &seen);
    seen.until_len(20).await;
    let all: Vec<_> = (0..2).map(place).collect();
    assert_eq!(
        ear.heard(),
        [
            Heard::Assigned(all.clone()),
            Heard::Lost(all.clone()),
            Heard::Assigned(all)
        ]
    );
    bed.fill(2, 10, 10).await;
    seen.until_len(40).await;
    assert_eq!(running.end().await.processed, 40);
    for partition in [0, 1] {
        assert_eq!(seen.of(partition), (0..20).collect::<Vec<_>>());
    }
}

/// Runs a noting consumer under `fault` and expects each record once and in order. The fault must
/// have fired.
async fn survives(fault: Fault) {
    let bed = modern(2).await;
    bed.fill(2, 0, 30).await;
    let seen = Seen::default();
    let handle = bed.broker.faults().add(fault.client_id("consumer"));
    let running = run_noting(bed.consumer("consumer").await, &seen);
    seen.until_len(60).await;
    eventually("the fault has fired", || handle.fired() > 0).await;
    bed.fill(2, 30, 30).await;
    seen.until_len(120).await;
    eventually("all is committed", || {
        (bed.committed(0), bed.committed(1)) == (Some(60), Some(60))
    })
    .await;
    assert_eq!(running.end().await.late, 0);
    for partition in [0, 1] {
        assert_eq!(seen.of(partition), (0..60).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_that_fail_cost_time_and_nothing_else() {
    let on = ApiKey::ConsumerGroupHeartbeat;
    for skip in 1..4 {
        survives(Fault::disconnect().on(on).times(2).nth(skip)).await;
        survives(Fault::apply_then_disconnect().on(on).nth(skip)).await;
        survives(Fault::silence().on(on).nth(skip)).await;
        survives(Fault::apply_then_silence().on(on).nth(skip)).await;
        for code in [
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ] {
            survives(Fault::error(code).on(on).times(2).nth(skip)).await;
        }
    }
    survives(Fault::error(ErrorCode::STALE_MEMBER_EPOCH).on(ApiKey::OffsetCommit)).await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_moves_keeps_the_group_as_it_is() {
    let bed = modern(4).await;
    let (seen, ear) = (Seen::default(), Ear::default());
    let builder = bed
        .consumer("consumer")
        .await
        .rebalance_listener(ear.clone());
    let running = run_noting(builder, &seen);
    bed.fill(4, 0, 10).await;
    seen.until_len(40).await;
    for node in [1, 2, 1] {
        bed.broker.inspect().move_coordinator("billing", node);
        sleep(Duration::from_secs(12)).await;
    }
    bed.fill(4, 10, 10).await;
    seen.until_len(80).await;
    assert_eq!(ear.heard().len(), 1, "nothing was lost or moved");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_protocol_is_chosen_by_the_cluster_and_a_group_is_never_mixed() {
    let old = bed_with(1, |b| b.group_version(0)).await;
    let running = run_noting(old.builder().await, &Seen::default());
    stable_with(&old, 1).await;
    assert_eq!(old.kind(), "classic");
    running.end().await;

    let bed = modern(2).await;
    let seen = Seen::default();
    let classic = bed
        .builder_as("old")
        .await
        .group_protocol(GroupProtocol::Classic);
    let classic = run_noting(classic, &seen);
    stable_with(&bed, 1).await;
    let auto = run_noting(bed.builder_as("new").await, &seen);
    stable_with(&bed, 2).await;
    assert_eq!(
        bed.kind(),
        "classic",
        "beside classic members, by their protocol"
    );
    let forced = run_noting(bed.consumer("forced").await, &seen)
        .ended()
        .await
        .unwrap_err();
    assert_eq!(forced.place().setting.as_deref(), Some("group.protocol"));
    classic.end().await;
    auto.end().await;
    let auto = run_noting(bed.builder_as("new").await, &seen);
    stable_with(&bed, 1).await;
    assert_eq!(bed.kind(), "consumer", "an empty group moves on");
    auto.end().await;
    let named = run_noting(bed.builder_as("range").await.assignors(["range"]), &seen);
    stable_with(&bed, 1).await;
    assert_eq!(
        bed.kind(),
        "classic",
        "an assignor implies the classic protocol"
    );
    named.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_told_with_the_setting_to_change() {
    let bed = modern(1).await;
    let error = bed
        .consumer("a")
        .await
        .assignors(["range"])
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("`range`"), "{error}");
    let builder = bed.consumer("a").await.group_remote_assignor("odd");
    let error = run_noting(builder, &Seen::default())
        .ended()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNSUPPORTED_ASSIGNOR));
    assert_eq!(
        error.place().setting.as_deref(),
        Some("group.remote.assignor")
    );
    let code = ErrorCode::INVALID_REGULAR_EXPRESSION;
    bed.broker
        .faults()
        .add(Fault::error(code).on(ApiKey::ConsumerGroupHeartbeat));
    let builder = bed.consumer("a").await.topic_pattern("x+");
    let error = run_noting(builder, &Seen::default())
        .ended()
        .await
        .unwrap_err();
    assert_eq!(error.place().setting.as_deref(), Some("topic_pattern"));
}

#[tokio::test(start_paused = true)]
async fn the_coordinators_range_assignor_gives_neighbours() {
    let bed = modern(4).await;
    let ears = [Ear::default(), Ear::default()];
    let mut running = Vec::new();
    for (name, ear) in ["a", "b"].iter().zip(&ears) {
        let builder = bed.consumer(name).await.group_remote_assignor("range");
        running.push(run(builder.rebalance_listener(ear.clone()), async || {}));
    }
    eventually("both have two", || {
        ears.iter().all(|ear| ear.now().len() == 2)
    })
    .await;
    let group = bed.broker.inspect().group("billing").unwrap();
    assert_eq!(group.protocol.as_deref(), Some("range"));
    let mut shares: Vec<Vec<_>> = ears
        .iter()
        .map(|ear| ear.now().into_iter().collect())
        .collect();
    shares.sort();
    assert_eq!(shares, [[place(0), place(1)], [place(2), place(3)]]);
    for member in running {
        member.end().await;
    }
}

/// A classic member joins between the question for the group's protocol and the first heartbeat, as
/// in a restart of all members.
#[tokio::test(start_paused = true)]
async fn the_protocol_is_chosen_again_when_the_group_turns_out_to_be_of_the_other_kind() {
    for code in [
        ErrorCode::GROUP_ID_NOT_FOUND,
        ErrorCode::UNSUPPORTED_VERSION,
    ] {
        let bed = modern(2).await;
        let seen = Seen::default();
        let late = Fault::delay(Duration::from_secs(5))
            .on(ApiKey::ConsumerGroupHeartbeat)
            .times(1);
        bed.broker.faults().add(late);
        let refused = Fault::error(code).on(ApiKey::ConsumerGroupHeartbeat);
        bed.broker.faults().add(refused.times(1));
        let auto = run_noting(bed.builder_as("auto").await, &seen);
        eventually("it asked by the other protocol", || {
            bed.broker.faults().unfired().is_empty()
        })
        .await;
        let classic = bed.builder_as("old").await;
        let classic = run_noting(classic.group_protocol(GroupProtocol::Classic), &seen);
        stable_with(&bed, 2).await;
        assert_eq!(bed.kind(), "classic", "{code}");
        bed.fill(2, 0, 5).await;
        seen.until_len(10).await;
        auto.end().await;
        classic.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_the_metadata_hides_is_asked_for_ever_more_seldom_and_told() {
    let bed = bed_with(1, |b| {
        b.group_version(1).journal(100_000).topic("secret", 1)
    })
    .await;
    let hidden = Fault::hide_topic("secret").on(ApiKey::Metadata).always();
    let hidden = bed.broker.faults().add(hidden);
    let told = Arc::new(Mutex::new(0));
    let hears = Arc::clone(&told);
    let builder = bed.consumer("a").await.topic_pattern("secret");
    let seen = Seen::default();
    let builder = builder.add_observer(Arc::new(move |event: &Event<'_>| {
        if let Event::LookupFailed { error, .. } = event {
            assert!(
                error.to_string().contains("metadata does not show"),
                "{error}"
            );
            *hears.lock() += 1;
        }
    }));
    let running = run_noting(builder, &seen);
    sleep(Duration::from_secs(60)).await;
    bed.broker.journal().clear();
    sleep(Duration::from_secs(600)).await;
    let asked = bed
        .broker
        .journal()
        .matching(|entry| entry.api() == ApiKey::Metadata);
    assert!(asked.len() <= 20, "{} times in ten minutes", asked.len());
    assert!(
        (5..30).contains(&*told.lock()),
        "told {} times",
        told.lock()
    );
    hidden.remove();
    bed.fill(1, 0, 3).await;
    fill(&bed.cluster("filler").await, "secret", 1, 0, 3).await;
    seen.until_len(6).await;
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn of_a_held_instance_id_the_error_tells_the_value() {
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        let bed = modern(2).await;
        let seen = Seen::default();
        let fixed = async || {
            let builder = bed.builder_as("twin").await.group_protocol(protocol);
            run_noting(builder.group_instance_id("pod-1"), &seen)
        };
        let first = fixed().await;
        stable_with(&bed, 1).await;
        let second = fixed().await;
        // The older member ends under the classic protocol, the newer one under the consumer
        // protocol.
        let (ends, stays) = match protocol {
            GroupProtocol::Classic => (first, second),
            _ => (second, first),
        };
        let error = ends.ended().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced);
        assert!(error.to_string().contains("`pod-1`"), "{error}");
        assert_eq!(members(&bed), 1, "the other one is still a member");
        stays.end().await;
    }
}
