//! The producer. Places records at a rate and keeps the outcome of each.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena::{Client, Delivery, Persistence};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::PARTITIONS;
use crate::plan::Plan;

/// The outcome of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The outcome is not known yet.
    #[default]
    Open,
    /// The record is in the log, at this partition and offset.
    Delivered(u32, u64),
    NotWritten,
    PossiblyWritten,
}

/// The outcomes of all records, by task and number.
#[derive(Default)]
pub(crate) struct Outcomes(pub(crate) Vec<Vec<Outcome>>);

impl Outcomes {
    pub(crate) fn count(&self, of: impl Fn(Outcome) -> bool) -> usize {
        let all = self.0.iter().flatten();
        all.filter(|outcome| of(**outcome)).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    pub(crate) fn summary(&self) -> String {
        format!(
            "enqueued {}, delivered {}, not written {}, possibly written {}",
            self.len(),
            self.count(|outcome| matches!(outcome, Outcome::Delivered(..))),
            self.count(|outcome| outcome == Outcome::NotWritten),
            self.count(|outcome| outcome == Outcome::PossiblyWritten),
        )
    }
}

type Kept = Arc<Mutex<Vec<Vec<Outcome>>>>;

/// Produces for the plan's time. Returns once every record has its outcome.
pub(crate) async fn produce(client: Client, topic: String, plan: Plan) -> Outcomes {
    let producer = client.producer().build().unwrap();
    let kept: Kept = Arc::new(Mutex::new(vec![Vec::new(); TASKS]));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (topic, kept) = (producer.topic(topic.as_str()), Arc::clone(&kept));
        let plan = plan.clone();
        tasks.push(tokio::spawn(async move {
            let waits: Vec<_> = (0..PARTITIONS).map(|_| collect(task, &kept)).collect();
            let each_tick = plan.rate / TASKS as u64 / 100;
            let mut tick = interval(Duration::from_millis(10));
            tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let pad = "x".repeat(60);
            let mut number = 0_u64;
            while begun.elapsed() < plan.time {
                tick.tick().await;
                for _ in 0..each_tick {
                    let key = format!("{task}k{}", plan.draw(4, number as u32, 500));
                    let value = format!("{task}:{number}:{pad}");
                    kept.lock().unwrap()[task].push(Outcome::Open);
                    let placed = topic.enqueue(Some(key.as_bytes()), Some(value.as_bytes()));
                    match placed.await {
                        Ok(delivery) => {
                            let partition = delivery.partition().partition.index();
                            waits[partition].0.send((number, delivery)).unwrap();
                        }
                        Err(error) => note(&kept, task, number, told(&error)),
                    }
                    number += 1;
                }
            }
            for (deliveries, collecting) in waits {
                drop(deliveries);
                collecting.await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    producer.close(Duration::from_secs(30)).await.unwrap();
    Outcomes(std::mem::take(&mut *kept.lock().unwrap()))
}

type Waiting = (
    mpsc::UnboundedSender<(u64, Delivery)>,
    tokio::task::JoinHandle<()>,
);

/// Awaits the deliveries of one task and partition in their order.
fn collect(task: usize, kept: &Kept) -> Waiting {
    let (give, mut take) = mpsc::unbounded_channel::<(u64, Delivery)>();
    let kept = Arc::clone(kept);
    let collecting = tokio::spawn(async move {
        while let Some((number, delivery)) = take.recv().await {
            let outcome = match delivery.await {
                Ok(written) => {
                    let offset = written.offset.unwrap().to_wire() as u64;
                    Outcome::Delivered(written.partition.index() as u32, offset)
                }
                Err(error) => told(&error),
            };
            note(&kept, task, number, outcome);
        }
    });
    (give, collecting)
}

fn told(error: &milena::Error) -> Outcome {
    match error.persistence() {
        Some(Persistence::NotWritten) => Outcome::NotWritten,
        Some(Persistence::PossiblyWritten) => Outcome::PossiblyWritten,
        None => panic!("says nothing about its persistence: {error}"),
    }
}

fn note(kept: &Kept, task: usize, number: u64, outcome: Outcome) {
    kept.lock().unwrap()[task][number as usize] = outcome;
}

const TASKS: usize = 4;
