//! The records that every client gets alike, and the two ways in which they come.

mod blocking;
mod flood;
mod pace;

pub(crate) use blocking::{Blocking, Reports, run_blocking};
pub(crate) use flood::{Sender, run};
pub(crate) use pace::{Due, Pace, Tick};

use crate::case::Job;

/// Deliveries that a client may leave open before the oldest is awaited.
pub(crate) const OPEN: usize = 200_000;
/// Records that go to the same partition in a row, where we choose it.
pub(crate) const RUN: usize = 1000;
/// Seconds of load before measuring.
pub(crate) const WARM_UP: f64 = 0.5;

/// One record, still with the caller.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
    /// `None` leaves it to the client's partitioner.
    #[cfg_attr(
        not(feature = "peers"),
        expect(dead_code, reason = "the other clients ask")
    )]
    pub(crate) partition: Option<i32>,
}

/// A ring of ready values and keys.
pub(crate) struct Source {
    values: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
    partitions: u64,
    /// Whether partitions are chosen here, in runs: what suits the peers best.
    placed: bool,
}

impl Source {
    /// For one client: a tuned peer's records without keys are placed here.
    pub(crate) fn new(job: &Job) -> Self {
        let keys = if job.keys { RING } else { 0 };
        Self {
            values: (0..RING).map(|n| value(n, job.size)).collect(),
            keys: (0..keys)
                .map(|n| format!("order-{n:010}").into_bytes())
                .collect(),
            partitions: u64::from(job.partitions.max(1)),
            placed: job.tuned() && !job.keys,
        }
    }

    pub(crate) fn record(&self, number: u64) -> Record<'_> {
        let at = number as usize % RING;
        Record {
            key: self.keys.get(at).map(Vec::as_slice),
            value: self.values.get(at).map_or(&[], Vec::as_slice),
            partition: self.partition(number),
        }
    }

    /// The partition that is chosen here, if one is.
    pub(crate) fn partition(&self, number: u64) -> Option<i32> {
        let partition = number / RUN as u64 % self.partitions;
        self.placed.then_some(partition as i32)
    }
}

const RING: usize = 1024;

/// Text of a JSON kind that compresses as such text does.
pub(crate) fn value(number: usize, size: usize) -> Vec<u8> {
    let mut state = number as u64 + 11;
    let mut text = String::with_capacity(size + 64);
    text.push('{');
    while text.len() < size {
        // xorshift: the same values in every process.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let kind = KINDS.get(state as usize % KINDS.len()).unwrap_or(&"");
        text.push_str(&format!("\"{kind}\":{},", state % 1_000_000));
    }
    let mut bytes = text.into_bytes();
    bytes.truncate(size);
    bytes
}

const KINDS: [&str; 8] = [
    "customer", "order", "price", "quantity", "city", "created", "status", "weight",
];

/// Percentiles are taken after the first tenth, when the connection has settled.
pub(crate) fn settled(mut latencies_ms: Vec<f64>) -> Vec<f64> {
    latencies_ms.drain(..latencies_ms.len() / 10);
    latencies_ms
}
