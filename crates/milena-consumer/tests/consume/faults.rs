//! Faults on the way to the broker. They cost time, and neither a record nor its order.

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{GroupProtocol, OffsetReset};
use tokio::time::{sleep, timeout};

use crate::bed::{LIMIT, Running, Seen, bed, bed_with, eventually, run_noting};

/// Returns the protocols in which members send this request.
fn protocols(api: ApiKey) -> &'static [GroupProtocol] {
    match api {
        ApiKey::JoinGroup | ApiKey::SyncGroup | ApiKey::Heartbeat => &[GroupProtocol::Classic],
        ApiKey::ConsumerGroupHeartbeat => &[GroupProtocol::Consumer],
        _ => &[GroupProtocol::Classic, GroupProtocol::Consumer],
    }
}

/// Runs a noting consumer under `fault` and expects each record once and in order, in each protocol
/// that uses `api`. The fault must have fired.
pub(crate) async fn survives(api: ApiKey, fault: impl Fn() -> Fault) {
    for protocol in protocols(api) {
        survives_in(*protocol, fault().on(api)).await;
    }
}

async fn survives_in(protocol: GroupProtocol, fault: Fault) {
    let bed = bed(2).await;
    bed.fill(2, 0, 30).await;
    let seen = Seen::default();
    let handle = bed.broker.faults().add(fault.client_id("consumer"));
    let running = run_noting(bed.builder().await.group_protocol(protocol), &seen);
    seen.until_len(60).await;
    bed.fill(2, 30, 30).await;
    seen.until_len(120).await;
    eventually("the fault has fired", || handle.fired() > 0).await;
    eventually("all is committed", || {
        (bed.committed(0), bed.committed(1)) == (Some(60), Some(60))
    })
    .await;
    expect_each_once(&seen, running).await;
}

async fn expect_each_once(seen: &Seen, running: Running) {
    let report = running.end().await;
    assert_eq!(report.late, 0);
    for partition in [0, 1] {
        assert_eq!(seen.of(partition), (0..60).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_break_at_any_request() {
    use ApiKey::{
        ConsumerGroupHeartbeat, Fetch, FindCoordinator, Heartbeat, JoinGroup, ListOffsets,
        OffsetCommit, OffsetFetch, SyncGroup,
    };
    for api in [
        FindCoordinator,
        JoinGroup,
        SyncGroup,
        OffsetFetch,
        ListOffsets,
        Fetch,
        Heartbeat,
        ConsumerGroupHeartbeat,
        OffsetCommit,
    ] {
        survives(api, || Fault::disconnect().times(2)).await;
        survives(api, Fault::apply_then_disconnect).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_fetches_lookups_and_commits_that_say_nothing() {
    use ApiKey::{Fetch, ListOffsets, OffsetCommit, OffsetFetch};
    for api in [Fetch, ListOffsets, OffsetFetch, OffsetCommit] {
        survives(api, || Fault::garbled().times(2)).await;
        survives(api, || Fault::wrong_correlation_id().times(2)).await;
        survives(api, || Fault::truncate(9).times(2)).await;
        for code in [-1, 9_999] {
            let code = ErrorCode::from_wire(code).unwrap();
            survives(api, || Fault::error(code).times(2)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_cannot_be_asked_for_is_asked_for_again() {
    let unnamed = ErrorCode::from_wire(9_999).unwrap();
    for fault in [
        Fault::garbled(),
        Fault::wrong_correlation_id(),
        Fault::error(ErrorCode::UNKNOWN_SERVER_ERROR),
        Fault::error(unnamed),
        Fault::disconnect(),
    ] {
        let bed = bed_with(1, |builder| builder.replication_factor(2)).await;
        bed.fill(1, 0, 5).await;
        let seen = Seen::default();
        let running = run_noting(bed.builder().await, &seen);
        seen.until_len(5).await;
        let fault = fault.on(ApiKey::OffsetForLeaderEpoch).times(3);
        let handle = bed.broker.faults().add(fault.client_id("consumer"));
        let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
        bed.broker.inspect().move_leader("orders", 0, 3 - leader);
        bed.fill(1, 5, 5).await;
        seen.until_len(10).await;
        assert_eq!(handle.fired(), 3);
        running.end().await;
        assert_eq!(seen.of(0), (0..10).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_never_answered() {
    use ApiKey::{ConsumerGroupHeartbeat, Fetch, Heartbeat, OffsetCommit, OffsetFetch, SyncGroup};
    for api in [
        SyncGroup,
        OffsetFetch,
        Fetch,
        Heartbeat,
        ConsumerGroupHeartbeat,
        OffsetCommit,
    ] {
        survives(api, Fault::silence).await;
    }
}

#[tokio::test(start_paused = true)]
async fn errors_that_pass() {
    let errors = [
        (ApiKey::Fetch, ErrorCode::NOT_LEADER_OR_FOLLOWER),
        (ApiKey::Fetch, ErrorCode::FENCED_LEADER_EPOCH),
        (ApiKey::Fetch, ErrorCode::UNKNOWN_LEADER_EPOCH),
        (ApiKey::Fetch, ErrorCode::OFFSET_NOT_AVAILABLE),
        (ApiKey::Fetch, ErrorCode::REPLICA_NOT_AVAILABLE),
        (ApiKey::Fetch, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (ApiKey::Fetch, ErrorCode::KAFKA_STORAGE_ERROR),
        (ApiKey::Fetch, ErrorCode::FETCH_SESSION_ID_NOT_FOUND),
        (ApiKey::Fetch, ErrorCode::INVALID_FETCH_SESSION_EPOCH),
        (ApiKey::ListOffsets, ErrorCode::LEADER_NOT_AVAILABLE),
        (
            ApiKey::FindCoordinator,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ),
        (ApiKey::JoinGroup, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        (ApiKey::JoinGroup, ErrorCode::NOT_COORDINATOR),
        (ApiKey::SyncGroup, ErrorCode::REBALANCE_IN_PROGRESS),
        (ApiKey::SyncGroup, ErrorCode::NOT_COORDINATOR),
        (ApiKey::OffsetFetch, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
        (ApiKey::Heartbeat, ErrorCode::REBALANCE_IN_PROGRESS),
        (ApiKey::Heartbeat, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (
            ApiKey::ConsumerGroupHeartbeat,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ),
        (ApiKey::ConsumerGroupHeartbeat, ErrorCode::NOT_COORDINATOR),
        (
            ApiKey::OffsetCommit,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ),
        (ApiKey::OffsetCommit, ErrorCode::NOT_COORDINATOR),
        (ApiKey::OffsetCommit, ErrorCode::REQUEST_TIMED_OUT),
    ];
    for (api, code) in errors {
        survives(api, || Fault::error(code)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_leave_partitions_out() {
    survives(ApiKey::Fetch, || Fault::omit_partition().times(2)).await;
    survives(ApiKey::ListOffsets, Fault::omit_partition).await;
}

#[tokio::test(start_paused = true)]
async fn brokers_that_throttle_or_are_slow() {
    let long = Duration::from_secs(10);
    survives(ApiKey::Fetch, || Fault::throttle(long / 2)).await;
    survives(ApiKey::Fetch, || Fault::delay(long)).await;
    survives(ApiKey::OffsetCommit, || Fault::delay_answer(long)).await;
}

#[tokio::test(start_paused = true)]
async fn leaders_and_coordinators_that_move_and_brokers_that_go_and_come() {
    let bed = bed_with(2, |builder| builder.replication_factor(2)).await;
    bed.fill(2, 0, 20).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(40).await;
    let inspect = bed.broker.inspect();
    let nodes: Vec<i32> = bed.broker.addresses().iter().map(|(id, _)| *id).collect();
    let other = |node: i32| *nodes.iter().find(|id| **id != node).unwrap();
    inspect.move_leader("orders", 0, other(inspect.leader("orders", 0).unwrap().0));
    bed.fill(2, 20, 20).await;
    seen.until_len(80).await;
    let coordinator = inspect.coordinator("billing").unwrap();
    inspect.move_coordinator("billing", other(coordinator));
    let down = inspect.coordinator("billing").unwrap();
    inspect.broker_down(down);
    sleep(Duration::from_secs(5)).await;
    inspect.broker_up(down);
    bed.fill(2, 40, 20).await;
    seen.until("everything", |seen| {
        [0, 1].iter().all(|p| seen.of(*p).last() == Some(&59))
    })
    .await;
    running.end().await;
    for partition in [0, 1] {
        // A member that lost its group may read uncommitted records again. It must not skip any.
        let mut values = seen.of(partition);
        values.sort_unstable();
        values.dedup();
        assert_eq!(values, (0..60).collect::<Vec<_>>());
        assert_eq!(bed.committed(partition), Some(60));
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_that_the_log_no_longer_holds_is_reset_as_the_policy_says() {
    let bed = bed(1).await;
    bed.fill(1, 0, 20).await;
    let first = Seen::default();
    let running = run_noting(bed.builder().await, &first);
    first.until_len(20).await;
    running.end().await;
    bed.fill(1, 20, 20).await;
    bed.broker.inspect().delete_records("orders", 0, 30);

    let never = bed.builder().await.auto_offset_reset(OffsetReset::None);
    let error = run_noting(never, &Seen::default())
        .ended()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("auto.offset.reset"), "{error}");
    assert_eq!(bed.committed(0), Some(20), "nothing is committed for it");

    let second = Seen::default();
    let running = run_noting(bed.builder().await, &second);
    second.until_len(10).await;
    running.end().await;
    assert_eq!(second.of(0), (30..40).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn latest_means_the_end_as_it_was_when_the_group_began() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let seen = Seen::default();
    let builder = bed.builder().await.auto_offset_reset(OffsetReset::Latest);
    let running = run_noting(builder, &seen);
    let fetches = || bed.broker.journal().requests(ApiKey::Fetch).len();
    eventually("it reads", || fetches() > 0).await;
    bed.fill(1, 5, 5).await;
    seen.until_len(5).await;
    running.end().await;
    assert_eq!(seen.of(0), (5..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_and_a_group_that_is_refused_end_in_errors_that_name_them() {
    let bed = bed(1).await;
    let builder = bed.builder().await.topics(["missing"]);
    let error = run_noting(builder, &Seen::default())
        .ended()
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.to_string().contains("missing"), "{error}");

    for (protocol, api) in [
        (GroupProtocol::Classic, ApiKey::JoinGroup),
        (GroupProtocol::Consumer, ApiKey::ConsumerGroupHeartbeat),
    ] {
        let fault = Fault::error(ErrorCode::GROUP_AUTHORIZATION_FAILED).on(api);
        bed.broker.faults().add(fault.always());
        let builder = bed.builder().await.group_protocol(protocol);
        let ended = run_noting(builder, &Seen::default()).ended().await;
        let error = ended.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::GROUP_AUTHORIZATION_FAILED));
        assert!(error.to_string().contains("billing"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_ends_though_no_broker_answers_any_more() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(5).await;
    for node in bed.broker.addresses() {
        bed.broker
            .faults()
            .add(Fault::silence().node(node.0).always());
    }
    let report = timeout(LIMIT, running.end()).await;
    assert_eq!(report.expect("it ends though nobody answers").processed, 5);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_dropped_ends_at_once_and_its_partitions_go_to_the_next() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let consumer = bed.builder_as("first").await.build().unwrap();
    timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    drop(consumer);
    let seen = Seen::default();
    let running = run_noting(bed.builder_as("second").await, &seen);
    seen.until_len(5).await;
    running.end().await;
}
