//! The board on which the tasks of a consumer write their progress, and the thread that watches it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::case::{ConsumeJob, Due, Sample};
use crate::load::{WARM_UP, settled};
use crate::measure::{Meter, bytes_received, monotonic};

/// The counts of one process.
pub(crate) struct Board {
    /// The counts of each partition or task.
    lanes: Vec<Lane>,
    /// True once the measurement is over.
    over: AtomicBool,
    /// The first failure. `None` while there is none.
    failed: Mutex<Option<String>>,
    /// The ages of the sampled records.
    latencies_ms: Mutex<Vec<f64>>,
    /// The settings that differ from the client's defaults, for the results.
    set: Mutex<String>,
    /// The rule that tells when a record was written.
    due: Due,
    /// The number of partitions.
    partitions: u64,
    /// True if the log has no end.
    endless: bool,
}

/// The counts of a partition or a task, on a cache line of their own.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Lane {
    /// The records so far.
    pub(crate) records: AtomicU64,
    /// The next expected offset of the partition. 0 before its first record.
    pub(crate) next: AtomicI64,
    /// A sum over values, so that every value is read.
    pub(crate) sum: AtomicU64,
}

impl Board {
    pub(crate) fn new(job: &ConsumeJob) -> Self {
        Self {
            lanes: (0..job.partitions).map(|_| Lane::default()).collect(),
            over: AtomicBool::new(false),
            failed: Mutex::default(),
            latencies_ms: Mutex::default(),
            set: Mutex::default(),
            due: job.clock,
            partitions: u64::from(job.partitions.max(1)),
            endless: job.records.is_none(),
        }
    }

    pub(crate) fn lane(&self, at: i32) -> Option<&Lane> {
        self.lanes.get(usize::try_from(at).ok()?)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn is_timed(&self) -> bool {
        self.due != Due::Never
    }

    /// Returns the number of records between two updates by a task that gets them one by one. It is
    /// 1 if the last record matters.
    pub(crate) fn every(&self) -> u64 {
        if self.endless && !self.is_timed() {
            256
        } else {
            1
        }
    }

    /// Sets the settings that differ from the client's defaults.
    pub(crate) fn set(&self, set: String) {
        if let Ok(mut told) = self.set.lock() {
            *told = set;
        }
    }

    pub(crate) fn fail(&self, why: String) {
        if let Ok(mut failed) = self.failed.lock() {
            failed.get_or_insert(why);
        }
        self.over.store(true, Ordering::Relaxed);
    }

    /// Counts one record of a partition, from a function that runs at the same time as others.
    ///
    /// Keeps its age, and checks its offset. A record that does not follow the one before it, or
    /// comes again, fails the measurement.
    pub(crate) fn note(&self, partition: i32, offset: i64, value: &[u8]) {
        let Some(lane) = self.lane(partition) else {
            return;
        };
        // Only one function at a time has the records of a partition.
        let next = lane.next.load(Ordering::Relaxed);
        if next != offset && next != 0 {
            self.fail(format!(
                "partition {partition}: offset {offset} came, but {next} was expected"
            ));
        }
        lane.next.store(offset + 1, Ordering::Relaxed);
        let sum = lane.sum.load(Ordering::Relaxed);
        lane.sum.store(
            sum + value.first().map_or(0, |byte| u64::from(*byte)),
            Ordering::Relaxed,
        );
        let records = lane.records.load(Ordering::Relaxed);
        lane.records.store(records + 1, Ordering::Relaxed);
        if self.is_timed()
            && let Some(since) = self.age_ms(partition, offset, value)
        {
            self.times(&mut vec![since]);
        }
    }

    /// Returns the age of a record in milliseconds. `None` if the record is not sampled.
    pub(crate) fn age_ms(&self, partition: i32, offset: i64, value: &[u8]) -> Option<f64> {
        let written = match self.due {
            Due::Never => return None,
            Due::ByOffset {
                origin,
                tick,
                batch,
            } => {
                let offset = offset.unsigned_abs();
                // Only the first record of a batch is sampled.
                if !offset.is_multiple_of(batch) {
                    return None;
                }
                let number = offset / batch * self.partitions + u64::from(partition.unsigned_abs());
                origin + number * tick
            }
            Due::InValue => match u64::from_le_bytes(*value.first_chunk()?) {
                0 => return None,
                written => written,
            },
        };
        Some(monotonic().saturating_sub(written) as f64 / 1e6)
    }

    pub(crate) fn times(&self, some: &mut Vec<f64>) {
        if let Ok(mut all) = self.latencies_ms.lock() {
            all.append(some);
        }
    }

    /// Waits for the first record, lets the client warm up, and measures.
    pub(crate) fn watch(&self, job: &ConsumeJob) -> Result<Sample, String> {
        let patience = Instant::now() + Duration::from_secs(40);
        while self.records() == 0 {
            self.check()?;
            if Instant::now() > patience {
                return Err("no record arrived within 40 s".to_owned());
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        if job.records.is_none() {
            std::thread::sleep(Duration::from_secs_f64(WARM_UP));
        }
        if let Ok(mut all) = self.latencies_ms.lock() {
            all.clear();
        }
        let (before, received, meter) = (self.records(), bytes_received(), Meter::start());
        match job.records {
            None => std::thread::sleep(Duration::from_secs_f64(job.seconds)),
            Some(all) => {
                let patience = Instant::now() + Duration::from_secs(60);
                while self.records() < all && Instant::now() < patience {
                    self.check()?;
                    std::thread::sleep(Duration::from_micros(500));
                }
            }
        }
        let records = self.records();
        let sample = meter.stop(records - before);
        let received = bytes_received().zip(received).map(|(now, then)| now - then);
        self.check()?;
        if job.records.is_some_and(|all| records != all) {
            return Err(format!("{records} of {:?} records arrived", job.records));
        }
        self.over.store(true, Ordering::Relaxed);
        // A log with an end was partly fetched before the measurement began, so all received bytes
        // count.
        let (bytes, count) = match job.records {
            Some(all) => (bytes_received(), all),
            None => (received, sample.records),
        };
        Ok(Sample {
            read_amplification: bytes.map(|bytes| bytes as f64 / (count as f64 * job.stored)),
            latencies_ms: self
                .latencies_ms
                .lock()
                .map(|times| settled(times.clone()))
                .unwrap_or_default(),
            set: self.set.lock().map(|set| set.clone()).unwrap_or_default(),
            ..sample
        })
    }

    fn records(&self) -> u64 {
        let counts = self.lanes.iter();
        counts
            .map(|lane| lane.records.load(Ordering::Relaxed))
            .sum()
    }

    fn check(&self) -> Result<(), String> {
        let failed = self.failed.lock().map_err(|error| error.to_string())?;
        failed.clone().map_or(Ok(()), Err)
    }
}
