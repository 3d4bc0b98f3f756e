//! The log that the stub serves. It is one batch, encoded once, which is at every offset.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_core::{HeadersRef, Timestamp};
use milena_protocol::batch::BatchBuilder;
use milena_protocol::compression::Compression;

use crate::args::StubFlags;
use crate::case::Codec;
use crate::load;
use crate::measure::monotonic;

/// A log that repeats one batch for ever. The checksum stays valid, because it covers neither the
/// offset nor the leader epoch.
pub(super) struct Log {
    /// The encoded batch.
    pub(super) batch: Vec<u8>,
    /// The records of the batch.
    pub(super) records: i64,
    /// The number of partitions.
    partitions: i64,
    /// The schedule of batches. `None` if the log has no end.
    pace: Option<Pace>,
}

/// A schedule by which batches are written to the partitions in turn.
struct Pace {
    /// The time of the first batch, in nanoseconds of the system's monotonic clock.
    origin: AtomicU64,
    /// The nanoseconds between two batches.
    tick: u64,
}

impl Log {
    pub(super) fn new(flags: &StubFlags) -> Result<Self, String> {
        // At a rate, there is one batch per millisecond. If records are less frequent, each is a
        // batch.
        let tick = |rate: u64| (NANOS / rate.max(1)).max(1_000_000);
        let count = flags
            .rate
            .map(|rate| (rate * tick(rate) / NANOS).max(1) as u32);
        let mut open = BatchBuilder::with_capacity(flags.batch_size);
        let now = Timestamp::from_millis(1_700_000_000_000);
        while count.map_or(
            open.body_len() < flags.batch_size || open.is_empty(),
            |count| open.count() < count,
        ) {
            let value = load::value(open.count() as usize % 1024, flags.size);
            open.append(now, None, Some(&value), HeadersRef::empty())
                .map_err(|error| error.to_string())?;
        }
        let records = i64::from(open.count());
        let (sealed, _) = open
            .seal(compression(flags.codec))
            .map_err(|error| error.to_string())?;
        let mut batch = sealed.to_bytes(None).to_vec();
        if let Some(epoch) = batch.get_mut(12..16) {
            epoch.fill(0);
        }
        Ok(Self {
            batch,
            records,
            partitions: i64::from(flags.partitions.max(1)),
            pace: flags.rate.map(|rate| Pace {
                origin: AtomicU64::new(monotonic()),
                tick: tick(rate),
            }),
        })
    }

    /// Returns the offset after the last record of a partition.
    pub(super) fn end(&self, partition: i32) -> i64 {
        let Some(pace) = &self.pace else {
            return ENDLESS;
        };
        let since = monotonic().saturating_sub(pace.origin.load(Ordering::Relaxed));
        // Tick n brings batch n, in partition n % partitions.
        let ticks = (since / pace.tick) as i64 + 1;
        let batches = (ticks + self.partitions - 1 - i64::from(partition)) / self.partitions;
        batches * self.records
    }

    /// Returns the time until the next batch.
    pub(super) fn wait(&self) -> Duration {
        let Some(pace) = &self.pace else {
            return Duration::ZERO;
        };
        let since = monotonic().saturating_sub(pace.origin.load(Ordering::Relaxed));
        Duration::from_nanos(pace.tick - since % pace.tick)
    }

    /// Restarts the log at offset zero. Returns the origin, the length of a tick, and the records
    /// of a batch. The first two are zero without a schedule.
    pub(super) fn restart(&self) -> (u64, u64, i64) {
        let Some(pace) = &self.pace else {
            return (0, 0, self.records);
        };
        let now = monotonic();
        pace.origin.store(now, Ordering::Relaxed);
        (now, pace.tick, self.records)
    }
}

fn compression(codec: Codec) -> Compression {
    match codec {
        Codec::None => Compression::None,
        Codec::Gzip => Compression::GZIP,
        Codec::Snappy => Compression::Snappy,
        Codec::Lz4 => Compression::LZ4,
        Codec::Zstd => Compression::ZSTD,
    }
}

/// An offset that is never reached.
const ENDLESS: i64 = 1 << 50;
const NANOS: u64 = 1_000_000_000;
