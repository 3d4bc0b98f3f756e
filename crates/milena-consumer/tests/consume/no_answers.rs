//! Answers of the coordinator without a meaning. They cost time, and neither a record, its order
//! nor the membership.

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::GroupProtocol;
use tokio::time::{Duration, sleep};

use crate::bed::{Seen, bed, eventually, run_noting};
use crate::faults::survives;

/// Requests that members of a group send to their coordinator.
const ASKED: [ApiKey; 5] = [
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::SyncGroup,
    ApiKey::Heartbeat,
    ApiKey::ConsumerGroupHeartbeat,
];

#[tokio::test(start_paused = true)]
async fn answers_that_cannot_be_read_are_none() {
    for api in ASKED {
        survives(api, || Fault::garbled().times(2)).await;
        survives(api, || Fault::wrong_correlation_id().times(2)).await;
        survives(api, || Fault::truncate(6).times(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn codes_that_nobody_knows_are_no_answer() {
    let codes = [-1, 9999].into_iter().filter_map(ErrorCode::from_wire);
    for code in codes {
        for api in ASKED {
            survives(api, || Fault::error(code).times(2)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_never_says_anything_is_asked_with_a_backoff() {
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        let bed = bed(1).await;
        let code = ErrorCode::UNKNOWN_SERVER_ERROR;
        let fault = Fault::error(code)
            .on(ApiKey::JoinGroup)
            .on(ApiKey::ConsumerGroupHeartbeat);
        let fault = bed.broker.faults().add(fault.always());
        let seen = Seen::default();
        let running = run_noting(bed.builder().await.group_protocol(protocol), &seen);
        sleep(Duration::from_secs(60)).await;
        // This client waits 500 ms at most between tries, less its jitter.
        let asked = fault.fired();
        assert!((10..250).contains(&asked), "{protocol:?}: {asked} times");
        fault.remove();
        bed.fill(1, 0, 3).await;
        seen.until_len(3).await;
        running.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_leaves_the_metadata_during_a_heartbeat_costs_no_membership() {
    for protocol in [GroupProtocol::Classic, GroupProtocol::Consumer] {
        let bed = bed(1).await;
        let seen = Seen::default();
        let running = run_noting(bed.builder().await.group_protocol(protocol), &seen);
        bed.fill(1, 0, 3).await;
        seen.until_len(3).await;
        let inspect = bed.broker.inspect();
        let member = || inspect.group("billing").unwrap().members[0].id.clone();
        let before = member();
        let coordinator = inspect.coordinator("billing").unwrap();
        let silence = Fault::silence()
            .on(ApiKey::Heartbeat)
            .on(ApiKey::ConsumerGroupHeartbeat);
        let fault = bed.broker.faults().add(silence.node(coordinator).times(1));
        eventually("a heartbeat is on its way", || fault.fired() > 0).await;
        // The brokers that are left no longer show it, and name another coordinator.
        inspect.broker_down(coordinator);
        bed.fill(1, 3, 3).await;
        seen.until_len(6).await;
        sleep(Duration::from_secs(90)).await;
        assert_eq!(member(), before, "{protocol:?}: it is the same member");
        assert!(!running.is_over(), "{protocol:?}");
        assert_eq!(running.end().await.late, 0);
        assert_eq!(seen.of(0), (0..6).collect::<Vec<_>>());
    }
}
