//! Points in time, as users write them.

use std::io::Write;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::format::date;

/// Reads milliseconds since 1970, or a date such as `2026-02-17`, `2026-02-17T09:30Z` or
/// `2026-02-17T09:30:00.250+02:00`. A date without a zone is in UTC. Warns on stderr if seconds
/// were probably meant.
pub(super) fn time(text: &str) -> Result<i64, String> {
    let millis = read(text)?;
    if is_number(text) && SECONDS.contains(&millis) {
        let _ = writeln!(
            std::io::stderr(),
            "milena: '{text}' is read as milliseconds, which is {}; in seconds it would be {}",
            date(millis),
            date(millis.saturating_mul(1000))
        );
    }
    Ok(millis)
}

/// Reads a time, without the warning.
fn read(text: &str) -> Result<i64, String> {
    if is_number(text) {
        return text
            .parse()
            .map_err(|_| format!("'{text}' is more than 64 bits of milliseconds"));
    }
    let wrong = |why: String| {
        format!(
            "'{text}' is not a time: {why}; give milliseconds since 1970, or a date such as 2026-02-17, 2026-02-17T09:30:00Z or \
             2026-02-17T09:30:00+02:00"
        )
    };
    // A sign may only stand in a zone. -1, -2 and -3 have meanings of their own in Kafka (the end,
    // the beginning and the largest time).
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(wrong("it does not begin with a digit".to_owned()));
    }
    // jiff reads second 60 as 59, but Kafka's timestamps have no leap seconds.
    if text
        .split_once(['T', 't', ' '])
        .is_some_and(|(_, clock)| has_leap_second(clock))
    {
        return Err(wrong("a minute has the seconds 0 to 59".to_owned()));
    }
    let found = match text.parse::<Timestamp>() {
        Ok(found) => found,
        Err(with_zone) => match text.parse::<DateTime>() {
            Ok(found) => Offset::UTC
                .to_timestamp(found)
                .map_err(|error| wrong(error.to_string()))?,
            // The error of the parser that got further is the better one. A date with a zone cannot
            // be of the second form.
            Err(without) => {
                let zone = text
                    .get(10..)
                    .unwrap_or_default()
                    .contains(['Z', 'z', '+', '-']);
                let error = if zone { with_zone } else { without };
                return Err(wrong(error.to_string()));
            }
        },
    };
    let millis = found.as_millisecond();
    match millis < 0 {
        true => Err(wrong("it lies before 1970".to_owned())),
        false => Ok(millis),
    }
}

/// Returns true if the text is digits only.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns true if the seconds of a clock such as `09:30:60` are 60.
fn has_leap_second(clock: &str) -> bool {
    let second = clock.split(':').nth(2).unwrap_or_default();
    second.starts_with("60")
}

/// The numbers that are recent dates as seconds, but dates of 1970 to 1973 as milliseconds.
const SECONDS: std::ops::Range<i64> = 100_000_000..100_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_or_dates() {
        for (text, millis) in [
            ("1771320600250", 1_771_320_600_250),
            ("1771320600", 1_771_320_600),
            ("9223372036854775807", i64::MAX),
            ("2026-02-17T09:30:00Z", 1_771_320_600_000),
            ("2026-02-17T09:30:00.5Z", 1_771_320_600_500),
            ("2026-02-17T09:30:00.250Z", 1_771_320_600_250),
            ("2026-02-17T09:30Z", 1_771_320_600_000),
            ("2026-02-17 09:30", 1_771_320_600_000),
            ("2026-02-17T09:30:00.1234567Z", 1_771_320_600_123),
            ("2024-02-29", 1_709_164_800_000),
            ("1970-01-01 00:01", 60_000),
        ] {
            assert_eq!(time(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn zones_are_taken() {
        for (text, millis) in [
            ("2026-02-17T09:30:00+02:00", 1_771_313_400_000),
            ("2026-02-17T09:30:00+0530", 1_771_300_800_000),
            ("2026-02-17T09:30:00-00:30", 1_771_322_400_000),
        ] {
            assert_eq!(time(text), Ok(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "today",
            "yesterday",
            "2026-13-01",
            "2026-02",
            "2026-02-30",
            "2025-02-29",
            "2026-04-31T00:00:00Z",
            "2026-02-17T25:00",
            "2026-02-17T24:00:00Z",
            "2026-02-17T09:30:60Z",
            "2026-02-17T09:30:00.Z",
            "2026-02-17T+9:30",
            "+2026-02-17",
            "+1",
            "-1",
            "-2",
            "-3",
            "-999",
            "9223372036854775808",
            "1969-12-31",
        ] {
            let told = time(wrong);
            assert!(told.is_err(), "{wrong}: {told:?}");
        }
    }
}
