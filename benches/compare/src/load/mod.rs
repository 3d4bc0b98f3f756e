//! The records that are the same for every client, and the two kinds of load.

mod blocking;
mod flood;
mod pace;

pub(crate) use blocking::{Blocking, Reports, run_blocking};
pub(crate) use flood::{Sender, run};
pub(crate) use pace::{Due, Pace, Tick};

use crate::case::Job;

/// The deliveries that a client may leave open before the oldest is awaited.
pub(crate) const OPEN: usize = 200_000;
/// The records in a row that go to the same partition, if we choose it.
pub(crate) const RUN: usize = 1000;
/// The seconds of load before measuring.
pub(crate) const WARM_UP: f64 = 0.5;

/// A record that was not sent yet.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: &'a [u8],
    /// The partition. `None` leaves the choice to the client's partitioner.
    #[cfg_attr(
        not(feature = "peers"),
        expect(dead_code, reason = "the other clients ask")
    )]
    pub(crate) partition: Option<i32>,
}

/// A ring of prepared values and keys.
pub(crate) struct Source {
    /// The values. A record takes the one at its number in the ring.
    values: Vec<Vec<u8>>,
    /// The keys. Empty for records without keys.
    keys: Vec<Vec<u8>>,
    /// The number of partitions.
    partitions: u64,
    /// True if partitions are chosen here, in runs, which suits the peers best.
    placed: bool,
}

impl Source {
    /// Creates the records for one client. For a tuned peer, records without keys get their
    /// partitions here.
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

    /// Returns the partition of a record, or `None` if the client chooses it.
    pub(crate) fn partition(&self, number: u64) -> Option<i32> {
        let partition = number / RUN as u64 % self.partitions;
        self.placed.then_some(partition as i32)
    }
}

const RING: usize = 1024;

/// Returns a JSON-like text that compresses as such text does.
pub(crate) fn value(number: usize, size: usize) -> Vec<u8> {
    let mut state = number as u64 + 11;
    let mut text = String::with_capacity(size + 64);
    text.push('{');
    while text.len() < size {
        // The xorshift generator gives the same values in every process.
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

/// Removes the first tenth of the times, in which the connection settles.
pub(crate) fn settled(mut latencies_ms: Vec<f64>) -> Vec<f64> {
    latencies_ms.drain(..latencies_ms.len() / 10);
    latencies_ms
}
