//! The buckets of histograms.

/// Upper bounds of times, in seconds. The same bounds as [`NANOS`].
pub(crate) const SECONDS: [f64; 14] = [
    0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0,
];

/// Upper bounds of times, in nanoseconds. The same bounds as [`SECONDS`].
pub(crate) const NANOS: [u64; 14] = [
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    30_000_000,
    100_000_000,
    300_000_000,
    1_000_000_000,
    3_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
    300_000_000_000,
];

/// Upper bounds of ratios between 0 and 1.
pub(crate) const SHARES: [f64; 11] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_nanoseconds_are_the_same_bounds() {
        for (seconds, nanos) in SECONDS.iter().zip(NANOS) {
            assert_eq!((seconds * 1e9).round() as u64, nanos);
        }
    }
}
