//! Several connections to one broker, over a cluster in memory that works on one request of a
//! connection at a time. The clock is paused.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorCode, ProducerRecord};
use tokio::time::{Instant, sleep};

use crate::settings::SettingsDraft;
use crate::tests::sending::{numbers, producer};
use crate::tests::stub::{Act, Stub};
use crate::{Acks, Delivery, Producer};

const PARTITIONS: usize = 8;
const COUNT: usize = 300;
const WORK: Duration = Duration::from_millis(2);

fn busy_broker() -> Arc<Stub> {
    let stub = Stub::new(PARTITIONS);
    stub.state.lock().work = Some(WORK);
    stub
}

/// Enqueues `count` numbered records to each partition without a pause, each in a batch of its own.
async fn flood(producer: &Producer, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    for number in 0..count {
        for partition in 0..PARTITIONS as u32 {
            let record = ProducerRecord::new("orders").partition(partition);
            let record = record.value(number.to_string());
            all.push(producer.enqueue(record).await.unwrap());
        }
    }
    all
}

/// Returns the time until all records of a flood are delivered.
async fn time(stub: &Arc<Stub>, change: impl FnOnce(&mut SettingsDraft)) -> Duration {
    let producer = producer(stub, |draft| {
        draft.batching.records = Some(1);
        change(draft);
    });
    let start = Instant::now();
    for delivery in flood(&producer, COUNT).await {
        delivery.await.unwrap();
    }
    let taken = start.elapsed();
    for partition in 0..PARTITIONS {
        assert_eq!(stub.values(partition), numbers(COUNT));
        let state = stub.state.lock();
        let sequences = state.logs[partition].journal.iter().map(|batch| batch.1);
        assert!(
            sequences.eq(0..COUNT as i32),
            "each batch was sent once, in order"
        );
    }
    producer.close(Duration::from_secs(5)).await.unwrap();
    taken
}

#[tokio::test(start_paused = true)]
async fn partitions_that_wait_behind_each_other_get_connections_of_their_own() {
    let (one, each) = (busy_broker(), busy_broker());
    let serial = time(&one, |draft| draft.max_connections = 1).await;
    let shared = time(&each, |_| ()).await;
    assert!(serial >= WORK * (COUNT * PARTITIONS) as u32);
    assert!(shared * 3 < serial, "{shared:?} of {serial:?}");
    assert_eq!(one.state.lock().dials, 1);
    assert_eq!(each.state.lock().dials, PARTITIONS);
}

#[tokio::test(start_paused = true)]
async fn a_burst_opens_no_further_connection() {
    let stub = busy_broker();
    let producer = producer(&stub, |_| ());
    for _ in 0..5 {
        for delivery in flood(&producer, 500).await {
            delivery.await.unwrap();
        }
    }
    assert_eq!(stub.state.lock().dials, 1);
}

#[tokio::test(start_paused = true)]
async fn when_the_load_is_over_one_connection_serves_all_again() {
    let stub = busy_broker();
    let producer = producer(&stub, |draft| draft.batching.records = Some(50));
    for delivery in flood(&producer, 5_000).await {
        delivery.await.unwrap();
    }
    assert!(stub.state.lock().used.iter().any(|number| *number > 0));
    sleep(Duration::from_secs(31)).await;
    stub.state.lock().used.clear();
    for delivery in flood(&producer, 1).await {
        delivery.await.unwrap();
    }
    let used = std::mem::take(&mut stub.state.lock().used);
    assert!(!used.is_empty() && used.iter().all(|number| *number == 0));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_further_connections_is_served_by_one() {
    let stub = busy_broker();
    stub.state.lock().only_one = true;
    let serial = WORK * (COUNT * PARTITIONS) as u32;
    let taken = time(&stub, |_| ()).await;
    assert!(taken < serial + serial / 10, "{taken:?}");
    let state = stub.state.lock();
    assert!(state.used.iter().all(|number| *number == 0));
    assert!(state.dials < 4, "{} dials", state.dials);
}

#[tokio::test(start_paused = true)]
async fn partitions_of_a_connection_that_is_gone_go_by_the_first_again() {
    let stub = busy_broker();
    let producer = producer(&stub, |draft| draft.batching.records = Some(1));
    let all = flood(&producer, 100).await;
    while stub.state.lock().used.iter().all(|number| *number == 0) {
        sleep(WORK).await;
    }
    stub.state.lock().only_one = true;
    // The next requests of all connections are lost, and the connections end.
    stub.script([Act::Cut; 4]);
    for delivery in all {
        delivery.await.unwrap();
    }
    for partition in 0..PARTITIONS {
        assert_eq!(stub.values(partition), numbers(100));
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_nobody_acknowledges_stay_on_one_connection() {
    let stub = busy_broker();
    let producer = producer(&stub, |draft| {
        draft.acks = Some(Acks::None);
        draft.batching.records = Some(1);
    });
    for delivery in flood(&producer, 100).await {
        delivery.await.unwrap();
    }
    producer.close(Duration::from_secs(60)).await.unwrap();
    assert_eq!(stub.state.lock().dials, 1);
    assert_eq!(stub.values(0), numbers(100));
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_while_partitions_move_nothing_is_duplicated_lost_or_out_of_order() {
    let mut moved = 0;
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let stub = busy_broker();
        let acts = (0..600).map(|_| match random.u32(..60) {
            0 => Act::Cut,
            1 => Act::ServeThenCut,
            2 => Act::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS),
            3 => Act::ServeThenRefuse(ErrorCode::REQUEST_TIMED_OUT),
            _ => Act::Serve,
        });
        stub.script(acts);
        let producer = producer(&stub, |draft| draft.batching.records = Some(1));
        let all = flood(&producer, 60).await;
        if random.bool() {
            sleep(Duration::from_millis(random.u64(..200))).await;
            stub.lead(random.usize(..PARTITIONS), Some(2));
        }
        for delivery in all {
            delivery.await.unwrap();
        }
        for partition in 0..PARTITIONS {
            assert_eq!(stub.values(partition), numbers(60), "seed {seed}");
        }
        let state = stub.state.lock();
        moved += usize::from(state.used.iter().any(|number| *number > 0));
    }
    assert!(moved > 50, "partitions moved in {moved} of 60 runs");
}
