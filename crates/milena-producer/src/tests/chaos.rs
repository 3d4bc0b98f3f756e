//! Random failures by seed, after each of which the guarantees must hold.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorCode, Persistence, ProducerRecord, Result};

use crate::settings::SettingsDraft;
use crate::tests::stub::{Act, Stub};
use crate::{Delivery, Producer};

const RECORDS: usize = 120;

fn act(random: &mut fastrand::Rng) -> Act {
    match random.u32(..30) {
        0 => Act::Cut,
        1 => Act::ServeThenCut,
        2 => Act::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS),
        3 => Act::ServeThenRefuse(ErrorCode::REQUEST_TIMED_OUT),
        4 => Act::ServeThenRefuse(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND),
        5 => Act::Refuse(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        6 => Act::Refuse(ErrorCode::INVALID_RECORD),
        7 => Act::Swallow,
        8 => Act::Refuse(ErrorCode::REQUEST_TIMED_OUT),
        9 => Act::RefuseFirst,
        10 => Act::Refuse(ErrorCode::MESSAGE_TOO_LARGE),
        11 => Act::ServeThenRefuse(ErrorCode::TRANSACTION_ABORTABLE),
        12 => Act::NotTaken,
        13 => Act::ServeThenRefuse(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        _ => Act::Serve,
    }
}

/// Sends numbered records to two partitions while requests fail. Returns the outcome of each record
/// by partition.
async fn run(seed: u64, stub: &Arc<Stub>) -> [Vec<(usize, Result<()>)>; 2] {
    let mut random = fastrand::Rng::with_seed(seed);
    stub.script((0..150).map(|_| act(&mut random)));
    let settings = SettingsDraft {
        request_timeout: Duration::from_secs(2),
        delivery_timeout: Some(Duration::from_secs(8)),
        ..SettingsDraft::default()
    };
    let producer = Producer::start(settings.check().unwrap(), stub.clone()).unwrap();
    let mut deliveries: [Vec<(usize, Delivery)>; 2] = Default::default();
    for number in 0..RECORDS {
        let partition = random.usize(..2);
        let record = ProducerRecord::new("orders").partition(partition as u32);
        let delivery = producer.enqueue(record.value(number.to_string())).await;
        deliveries[partition].push((number, delivery.unwrap()));
        if random.u32(..3) > 0 {
            tokio::time::sleep(Duration::from_millis(random.u64(..60))).await;
        }
        if random.u32(..30) == 0 {
            stub.lead(random.usize(..2), Some(random.i32(1..3)));
        }
    }
    // Nothing fails from here on, so the last records show whether the producer recovered.
    stub.state.lock().script.clear();
    let mut outcomes: [Vec<(usize, Result<()>)>; 2] = Default::default();
    for (outcomes, deliveries) in outcomes.iter_mut().zip(deliveries) {
        for (number, delivery) in deliveries {
            outcomes.push((number, delivery.await.map(|_| ())));
        }
    }
    for partition in 0..2 {
        let record = ProducerRecord::new("orders")
            .partition(partition)
            .value("last");
        producer.send(record).await.unwrap();
    }
    producer.close(Duration::from_secs(60)).await.unwrap();
    assert_eq!(producer.buffer_used(), 0, "seed {seed}");
    outcomes
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_nothing_is_duplicated_lost_or_out_of_order() {
    let (mut unwritten, mut doubtful) = (0, 0);
    for seed in 0..300 {
        let stub = Stub::new(2);
        let outcomes = run(seed, &stub).await;
        for (partition, outcomes) in outcomes.iter().enumerate() {
            let log = stub.values(partition);
            let mut places = HashMap::<&str, usize>::new();
            for (place, value) in log.iter().enumerate() {
                let before = places.insert(value, place);
                assert!(before.is_none(), "seed {seed}: {value} twice in {log:?}");
            }
            let mut last = None;
            for (number, outcome) in outcomes {
                let place = places.get(number.to_string().as_str()).copied();
                match outcome {
                    Ok(()) => assert!(place.is_some(), "seed {seed}: {number} lost in {log:?}"),
                    Err(error) if error.persistence() == Some(Persistence::NotWritten) => {
                        assert!(place.is_none(), "seed {seed}: {number} written: {error}");
                        unwritten += 1;
                    }
                    Err(_) => doubtful += 1,
                }
                if place.is_some() {
                    assert!(
                        place > last,
                        "seed {seed}: {number} out of order in {log:?}"
                    );
                    last = place;
                }
            }
        }
    } // Else the failures were too rare to show anything.
    assert!(unwritten > 100 && doubtful > 100, "{unwritten}, {doubtful}");
}
