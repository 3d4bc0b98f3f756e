//! Compares the outcomes of enqueued records with the log.
//!
//! No acknowledged record is missing. No record is there twice or out of order. No record that was
//! certainly not written is there at all.

use std::collections::HashMap;

use milena_core::{Persistence, ProducerRecord, RecordMetadata, Result};
use milena_producer::{Delivery, Producer};

use super::Bed;

/// Records with distinct values, in the order of enqueueing.
#[derive(Default)]
pub(crate) struct Ledger {
    rows: Vec<Row>,
}

struct Row {
    topic: String,
    partition: u32,
    value: String,
    delivery: Delivery,
}

/// The number of records by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) delivered: usize,
    pub(crate) not_written: usize,
    pub(crate) possibly_written: usize,
}

impl Ledger {
    pub(crate) async fn enqueue(&mut self, producer: &Producer, record: ProducerRecord) {
        let delivery = producer.enqueue(record.clone()).await.unwrap();
        self.note(&record, delivery);
    }

    /// Adds a record that was enqueued.
    pub(crate) fn note(&mut self, record: &ProducerRecord, delivery: Delivery) {
        let value = record.record.value.clone().unwrap_or_default();
        self.rows.push(Row {
            topic: record.topic.to_string(),
            partition: delivery.partition().partition.to_wire().unsigned_abs(),
            value: String::from_utf8(value.to_vec()).unwrap(),
            delivery,
        });
    }

    /// Waits for every outcome and compares them with the log.
    pub(crate) async fn hold(self, bed: &Bed) -> Counts {
        let mut logs = HashMap::new();
        let mut last = HashMap::new();
        let mut counts = Counts::default();
        let mut ended = Vec::new();
        for row in self.rows {
            ended.push((row.topic, row.partition, row.value, row.delivery.await));
        }
        for (topic, partition, value, outcome) in ended {
            let place = (topic.clone(), partition);
            let log = logs
                .entry(place.clone())
                .or_insert_with(|| Log::of(bed, &topic, partition));
            let at = log.at.get(value.as_str()).copied();
            log.judge(&value, at, &outcome, &mut counts);
            if at.is_some() {
                let before = last.insert(place, at).flatten();
                assert!(at > before, "{value} is out of order in {:?}", log.values);
            }
        }
        counts
    }
}

/// The log of a partition.
struct Log {
    values: Vec<String>,
    at: HashMap<String, usize>,
}

impl Log {
    fn of(bed: &Bed, topic: &str, partition: u32) -> Self {
        let values = bed.values_of(topic, partition);
        let mut at = HashMap::new();
        for (place, value) in values.iter().enumerate() {
            let before = at.insert(value.clone(), place);
            assert!(before.is_none(), "{value} is there twice in {values:?}");
        }
        Self { values, at }
    }

    fn judge(
        &self,
        value: &str,
        at: Option<usize>,
        outcome: &Result<RecordMetadata>,
        counts: &mut Counts,
    ) {
        let values = &self.values;
        match outcome {
            Ok(metadata) => {
                assert!(
                    at.is_some(),
                    "{value} was acknowledged and is not in {values:?}"
                );
                let told = metadata.offset.map(|offset| offset.to_wire() as usize);
                assert!(
                    told.is_none() || told == at,
                    "{value} is not at {told:?} in {values:?}"
                );
                counts.delivered += 1;
            }
            Err(error) => match error.persistence() {
                Some(Persistence::PossiblyWritten) => counts.possibly_written += 1,
                told => {
                    assert_eq!(told, Some(Persistence::NotWritten), "{error}");
                    assert!(
                        at.is_none(),
                        "{value} is in {values:?} in spite of: {error}"
                    );
                    counts.not_written += 1;
                }
            },
        }
    }
}
