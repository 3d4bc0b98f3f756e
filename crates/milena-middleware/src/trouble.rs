//! The records that a layer cannot write now, and whether all writes fail or only theirs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use milena_core::{ConsumerRecord, Gate, Gauge, Gauges, Offset, TopicPartition};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The records that wait to be written, and the gate of their layer. A clone shares them.
///
/// The gate is closed while nothing can be written, so all partitions of the route pause. If
/// another record was written after one began to wait, only the waiting one has trouble. The gate
/// then stays open until no record waits any more, and the waiting record is shown with its offset.
#[derive(Clone)]
pub(crate) struct Troubles {
    /// The gate of the layer. Closed by the first record that waits, opened by any write that
    /// succeeds.
    gate: Gate,
    /// The waiting records, shared by all lanes.
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// The trouble of each waiting record, by its place.
    records: BTreeMap<(TopicPartition, Offset), Trouble>,
    /// True if a record was written while another one waited. Cleared when no record waits.
    partial: bool,
}

struct Trouble {
    /// The latest error.
    reason: String,
    /// The failed writes so far.
    tries: u32,
    /// The time of the first failed write.
    since: Instant,
}

/// The trouble of one record, if it has any. Dropping this ends the trouble.
pub(crate) struct Own<'a> {
    /// The troubles of the layer.
    troubles: &'a Troubles,
    /// The record that has this trouble.
    origin: &'a ConsumerRecord,
}

impl Troubles {
    pub(crate) fn new(gate: Gate) -> Self {
        Self {
            gate,
            waiting: Arc::default(),
        }
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn of<'a>(&'a self, origin: &'a ConsumerRecord) -> Own<'a> {
        Own {
            troubles: self,
            origin,
        }
    }
}

impl Own<'_> {
    /// Marks this record as waiting, with the reason. Closes the gate unless other records can be
    /// written.
    pub(crate) fn note(&mut self, reason: String) {
        let place = (self.origin.topic_partition(), self.origin.offset);
        let mut waiting = self.troubles.waiting.lock();
        let trouble = waiting.records.entry(place).or_insert_with(|| Trouble {
            reason: String::new(),
            tries: 0,
            since: Instant::now(),
        });
        trouble.reason = reason;
        trouble.tries = trouble.tries.saturating_add(1);
        // Other records can be written, so the partitions must not pause.
        if waiting.partial {
            return;
        }
        // The gate shows the first record, so that its text does not change with each record that
        // waits.
        if let Some(((partition, offset), first)) = waiting.records.first_key_value() {
            let reason = &first.reason;
            let told = format!("{reason}; the first waiting record is {partition} at {offset}");
            self.troubles.gate.close(told);
        }
    }

    /// Marks this record as written. Opens the gate, because any record that still waits has a
    /// trouble of its own.
    pub(crate) fn written(&mut self) {
        let mut waiting = self.troubles.waiting.lock();
        waiting.end(self.origin);
        waiting.partial = !waiting.records.is_empty();
        drop(waiting);
        self.troubles.gate.open();
    }
}

/// Ends the trouble when the record was written, refused or given back. Opens the gate after the
/// last one, because a gate that nobody opens would pause its partitions for ever.
impl Drop for Own<'_> {
    fn drop(&mut self) {
        let mut waiting = self.troubles.waiting.lock();
        if waiting.end(self.origin) && waiting.records.is_empty() {
            waiting.partial = false;
            drop(waiting);
            self.troubles.gate.open();
        }
    }
}

impl Waiting {
    fn end(&mut self, origin: &ConsumerRecord) -> bool {
        let place = (origin.topic_partition(), origin.offset);
        self.records.remove(&place).is_some()
    }
}

/// Shows the records that wait while others can be written. Each partition is shown by its first
/// waiting record.
impl Gauges for Troubles {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let waiting = self.waiting.lock();
        if !waiting.partial {
            return;
        }
        let mut last = None;
        for ((partition, offset), trouble) in &waiting.records {
            if last.replace(partition) == Some(partition) {
                continue;
            }
            let name = format!("{} of {partition}", self.gate.name());
            let (tries, age) = (trouble.tries, trouble.since.elapsed());
            let reason = format!(
                "{} (offset {offset}, {tries} tries in {} s)",
                trouble.reason,
                age.as_secs()
            );
            sink(Gauge::Gate {
                group: "",
                name: &name,
                closed: Some(&reason),
            });
        }
    }
}

impl fmt::Debug for Troubles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Troubles")
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}
