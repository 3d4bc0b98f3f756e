//! Times and durations as text.

use std::time::Duration;

use milena_core::Timestamp;

/// Writes a time as RFC 3339, in UTC, to the second. A time outside of the years -9999 to 9999 is
/// written as the nearest one within.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let (first, last) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
    let second = time.to_millis().div_euclid(1_000);
    let second = second.clamp(first.as_second(), last.as_second());
    let time = jiff::Timestamp::from_second(second);
    time.unwrap_or(last).to_string()
}

/// Writes a duration for people, in milliseconds below a second, in seconds below two minutes, else
/// in minutes.
pub(crate) fn span(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

/// Writes a number of things, with the plural if needed.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Writes the first three in alphabetical order, and the number of further ones.
pub(crate) fn list(mut all: Vec<String>) -> String {
    all.sort();
    let more = all.len().saturating_sub(3);
    all.truncate(3);
    let mut text = all.join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_rfc_asks() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_782_400_999, "2000-02-29T00:00:00Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (-1_000, "1969-12-31T23:59:59Z"),
            (253_402_207_199_000, "9999-12-30T21:59:59Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let names = ["d", "b", "a", "c", "e"].map(str::to_owned).to_vec();
        assert_eq!(list(names), "a; b; c; and 2 more");
    }
}
