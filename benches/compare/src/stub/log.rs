//! The log that the stub serves: one batch, encoded once, that stands at every offset.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_core::{HeadersRef, Timestamp};
use milena_protocol::batch::BatchBuilder;
use milena_protocol::compression::Compression;

use crate::args::StubFlags;
use crate::case::Codec;
use crate::load;
use crate::measure::monotonic;

/// A batch that repeats for ever; the checksum covers neither offset nor leader epoch, so that it stays right.
pub(super) struct Log {
    pub(super) batch: Vec<u8>,
    /// Records of the batch.
    pub(super) records: i64,
    partitions: i64,
    pace: Option<Pace>,
}

/// Batches are written by the clock, to the partitions in turn.
struct Pace {
    /// When the first one was, in nanoseconds of the system's monotonic clock.
    origin: AtomicU64,
    tick: u64,
}

impl Log {
    pub(super) fn new(flags: &StubFlags) -> Result<Self, String> {
        // At a rate, a batch for each millisecond, or for each record where they are rarer.
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

    /// The offset behind the last record of a partition.
    pub(super) fn end(&self, partition: i32) -> i64 {
        let Some(pace) = &self.pace else {
            return ENDLESS;
        };
        let since = monotonic().saturating_sub(pace.origin.load(Ordering::Relaxed));
        // Tick n brings batch n, of partition n % partitions.
        let ticks = (since / pace.tick) as i64 + 1;
        let batches = (ticks + self.partitions - 1 - i64::from(partition)) / self.partitions;
        batches * self.records
    }

    /// How long until there is more.
    pub(super) fn wait(&self) -> Duration {
        let Some(pace) = &self.pace else {
            return Duration::ZERO;
        };
        let since = monotonic().saturating_sub(pace.origin.load(Ordering::Relaxed));
        Duration::from_nanos(pace.tick - since % pace.tick)
    }

    /// Begins at offset zero now; tells the origin, the ticks' length and the records of each, all zero without a pace.
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

/// Far from any offset that is read.
const ENDLESS: i64 = 1 << 50;
const NANOS: u64 = 1_000_000_000;
