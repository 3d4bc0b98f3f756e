//! The load for clients that are called from a thread and report deliveries through callbacks.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::case::{Job, Sample};
use crate::load::{Due, Pace, RUN, Source, WARM_UP, settled};
use crate::measure::Meter;

/// A client that is called from a thread.
pub(crate) trait Blocking: Sync {
    /// Sends `count` records from `first` on, and waits while the client has no room. `stamp` comes
    /// back with the callback.
    fn produce(&self, source: &Source, first: u64, count: u64, stamp: usize) -> Result<(), String>;

    /// Serves callbacks for at most `wait`.
    fn poll(&self, wait: Duration);

    /// Returns the results that the callbacks collect.
    fn reports(&self) -> &Reports;

    /// Waits until all records were delivered or failed.
    fn flush(&self) -> Result<(), String>;
}

/// The results that the callbacks collect.
pub(crate) struct Reports {
    /// The time that stamps count from.
    origin: Instant,
    /// The records acknowledged since the last check.
    delivered: AtomicU64,
    /// The first failure. `None` while there is none.
    failed: Mutex<Option<String>>,
    /// The times of the sampled records.
    latencies_ms: Mutex<Vec<f64>>,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
            delivered: AtomicU64::new(0),
            failed: Mutex::default(),
            latencies_ms: Mutex::default(),
        }
    }
}

impl Reports {
    /// Counts an acknowledged record. A stamp of zero marks a record that is not sampled.
    pub(crate) fn delivered(&self, stamp: usize) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        if stamp > 0
            && let Ok(mut times) = self.latencies_ms.lock()
        {
            let since = self.origin + Duration::from_nanos(stamp as u64);
            times.push(since.elapsed().as_secs_f64() * 1e3);
        }
    }

    pub(crate) fn failed(&self, why: String) {
        if let Ok(mut failed) = self.failed.lock() {
            failed.get_or_insert(why);
        }
    }

    fn stamp(&self, since: Instant) -> usize {
        since.saturating_duration_since(self.origin).as_nanos() as usize
    }

    /// Checks that exactly `sent` records were acknowledged, and resets the count.
    fn check(&self, sent: u64) -> Result<(), String> {
        let failed = self
            .failed
            .lock()
            .map_err(|error| error.to_string())?
            .take();
        let delivered = self.delivered.swap(0, Ordering::AcqRel);
        match failed {
            Some(why) => Err(why),
            None if delivered != sent => Err(format!("{delivered} of {sent} acknowledged")),
            None => Ok(()),
        }
    }
}

/// Warms the client up and measures it.
pub(crate) fn run_blocking(job: &Job, client: &impl Blocking) -> Result<Sample, String> {
    let source = Source::new(job);
    match job.rate {
        None => {
            flood(client, &source, WARM_UP)?;
            let meter = Meter::start();
            let records = flood(client, &source, job.seconds)?;
            Ok(meter.stop(records))
        }
        Some(rate) => {
            paced(client, &source, Pace::new(rate, WARM_UP))?;
            let reports = client.reports();
            drop(reports.latencies_ms.lock().map(|mut times| times.clear()));
            let meter = Meter::start();
            let records = paced(client, &source, Pace::new(rate, job.seconds))?;
            let sample = meter.stop(records);
            let times = reports.latencies_ms.lock().map(|times| times.clone());
            Ok(Sample {
                latencies_ms: settled(times.unwrap_or_default()),
                ..sample
            })
        }
    }
}

/// The producing thread also serves the callbacks, which is the cheapest way.
fn flood(client: &impl Blocking, source: &Source, seconds: f64) -> Result<u64, String> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut sent = 0;
    while Instant::now() < end {
        client.produce(source, sent, RUN as u64, 0)?;
        sent += RUN as u64;
        client.poll(Duration::ZERO);
    }
    client.flush()?;
    client.reports().check(sent)?;
    Ok(sent)
}

/// A second thread serves the callbacks while the producing one sleeps between ticks.
fn paced(client: &impl Blocking, source: &Source, mut pace: Pace) -> Result<u64, String> {
    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                client.poll(Duration::from_millis(20));
            }
        });
        let sent = pace_on(client, source, &mut pace).and_then(|sent| {
            client.flush()?;
            Ok(sent)
        });
        over.store(true, Ordering::Release);
        sent
    })?;
    client.reports().check(sent)?;
    Ok(sent)
}

fn pace_on(client: &impl Blocking, source: &Source, pace: &mut Pace) -> Result<u64, String> {
    let (mut sent, mut slept) = (0, false);
    loop {
        match pace.due(Instant::now(), slept) {
            Due::Over => return Ok(sent),
            Due::At(next) => {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                slept = true;
            }
            Due::Now { records, since } => {
                slept = false;
                let stamp = client.reports().stamp(since);
                let between = records.saturating_sub(2);
                for (count, stamp) in [
                    (1.min(records), stamp),
                    (between, 0),
                    (u64::from(records > 1), stamp),
                ] {
                    client.produce(source, sent, count, stamp)?;
                    sent += count;
                }
            }
        }
    }
}
