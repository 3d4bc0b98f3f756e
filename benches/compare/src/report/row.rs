//! The results of one client at one load, as medians of its rounds.

use serde::{Deserialize, Serialize};

use crate::driver::Round;

/// A measurement with its results. Figures that were not measured are null.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    #[serde(flatten)]
    pub(crate) shape: Shape,
    pub(crate) records_per_second: Option<Figure>,
    pub(crate) mb_per_second: Option<Figure>,
    /// The user and system time of the client's process.
    pub(crate) cpu_us_per_record: Option<Figure>,
    /// The most memory that the client's process held.
    pub(crate) rss_mib: Option<Figure>,
    /// The time from send to acknowledgement, or from the log to the consumer. Only at a fixed
    /// rate.
    pub(crate) p50_ms: Option<Figure>,
    pub(crate) p99_ms: Option<Figure>,
    pub(crate) p999_ms: Option<Figure>,
    /// The requests per second. Only the stub counts them.
    pub(crate) requests_per_second: Option<Figure>,
    /// The bytes received per byte of the batches that were delivered. Only for consumers.
    #[serde(default)]
    pub(crate) read_amplification: Option<Figure>,
    /// Every setting that differs from the client's defaults.
    pub(crate) set: String,
    pub(crate) error: Option<String>,
}

/// The client and the load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) client: String,
    pub(crate) settings: String,
    /// `produce` or `consume`.
    #[serde(default)]
    pub(crate) work: String,
    /// The way in which records are handed over, `batch`, `stream` or `handler`.
    pub(crate) mode: String,
    pub(crate) target: String,
    pub(crate) size: usize,
    pub(crate) codec: String,
    pub(crate) partitions: u32,
    /// The members of a group that share the partitions. Null without a group of several.
    #[serde(default)]
    pub(crate) members: Option<usize>,
    pub(crate) keys: bool,
    pub(crate) batch_size: Option<usize>,
    pub(crate) rtt_ms: f64,
    pub(crate) serial: bool,
    /// The records per second that were offered. Null for as many as possible.
    pub(crate) rate: Option<u64>,
}

/// One figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Figure {
    /// Returns the figure of the values, or `None` if there are none.
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Some(Self {
            median: *values.get(values.len() / 2)?,
            min: *values.first()?,
            max: *values.last()?,
        })
    }
}

impl Row {
    pub(crate) fn new(shape: Shape, rounds: &[Round], error: Option<String>) -> Self {
        let over = |read: fn(&Round) -> f64| Figure::of(rounds.iter().map(read));
        let at = |share: f64| {
            let read = move |round: &Round| percentile(&round.sample.latencies_ms, share);
            Figure::of(rounds.iter().filter_map(read))
        };
        let rate = over(|round| round.sample.records as f64 / round.sample.seconds);
        let mb = shape.size as f64 / 1e6;
        let requests = rounds.iter().filter_map(requests_per_second);
        Self {
            records_per_second: rate,
            mb_per_second: rate.map(|rate| Figure {
                median: rate.median * mb,
                min: rate.min * mb,
                max: rate.max * mb,
            }),
            cpu_us_per_record: over(|round| {
                round.sample.cpu_seconds * 1e6 / round.sample.records.max(1) as f64
            }),
            rss_mib: over(|round| round.sample.rss_mib),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            requests_per_second: Figure::of(requests),
            read_amplification: Figure::of(
                rounds
                    .iter()
                    .filter_map(|round| round.sample.read_amplification)
                    .filter(|share| share.is_finite()),
            ),
            set: rounds
                .first()
                .map(|round| round.sample.set.clone())
                .unwrap_or_default(),
            error,
            shape,
        }
    }

    /// Returns the name and the settings, as tables and charts show them.
    pub(crate) fn who(&self) -> String {
        let client = match (self.shape.work.as_str(), self.shape.mode.as_str()) {
            ("consume", mode) => format!("{} {mode}", self.shape.client),
            _ => self.shape.client.clone(),
        };
        match (self.shape.client.as_str(), self.shape.settings.as_str()) {
            ("milena", _) => client,
            (_, settings) => format!("{client} ({settings})"),
        }
    }
}

/// Computes the requests per second from the requests per record, because the stub counts the
/// warm-up too.
fn requests_per_second(round: &Round) -> Option<f64> {
    let (requests, records) = round.seen.filter(|(_, records)| *records > 0)?;
    let rate = round.sample.records as f64 / round.sample.seconds;
    Some(requests as f64 / records as f64 * rate)
}

fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * share).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_between_its_ends() {
        let figure = Figure::of([3.0, 1.0, 2.0].into_iter());
        let expected = Figure {
            median: 2.0,
            min: 1.0,
            max: 3.0,
        };
        assert_eq!(figure, Some(expected));
        assert_eq!(Figure::of(std::iter::empty()), None);
    }

    #[test]
    fn percentiles_do_not_run_over_the_end() {
        assert_eq!(percentile(&[1.0, 2.0], 0.999), Some(2.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
