//! Which records a layer cannot write now, and whether that is everybody's trouble.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use milena_core::{ConsumerRecord, Gate, Gauge, Gauges, Offset, TopicPartition};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The records that wait to be written, and the gate of their layer. A clone is the same.
///
/// The gate is closed while nothing can be written, so that all partitions of the route pause. Where another record was written since one
/// began to wait, the trouble is that one's: the gate stays open until nobody waits any more, and the record is shown by its offset.
#[derive(Clone)]
pub(crate) struct Troubles {
    gate: Gate,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    records: BTreeMap<(TopicPartition, Offset), Trouble>,
    /// Whether a record was written while another one waited.
    partial: bool,
}

struct Trouble {
    reason: String,
    tries: u32,
    since: Instant,
}

/// The trouble of one record, if it has any; over when this is dropped.
pub(crate) struct Own<'a> {
    troubles: &'a Troubles,
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
    /// It waits, for this reason.
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
        if waiting.partial {
            return;
        }
        // By the first, so that the reason does not change with each record that waits.
        if let Some(((partition, offset), first)) = waiting.records.first_key_value() {
            let reason = &first.reason;
            let told = format!("{reason}; the first that waits is {partition} at {offset}");
            self.troubles.gate.close(told);
        }
    }

    /// It is written: whoever waits still has a trouble of its own.
    pub(crate) fn written(&mut self) {
        let mut waiting = self.troubles.waiting.lock();
        waiting.end(self.origin);
        waiting.partial = !waiting.records.is_empty();
        drop(waiting);
        self.troubles.gate.open();
    }
}

/// Written, refused or given back: it waits no more. A gate that nobody is left to open would pause its partitions for ever.
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

/// Shows the records that wait though others are written, each partition by the first of them.
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
