//! Times as settings write them.

use std::time::Duration;

/// Reads a time with its unit, such as `250us`, `100ms`, `30s`, `5m`, `1h` or `2d`. `None` for any
/// other text, and for a time that is too long.
///
/// ```
/// use std::time::Duration;
///
/// use milena_core::parse_duration;
///
/// assert_eq!(parse_duration("100ms"), Some(Duration::from_millis(100)));
/// assert_eq!(parse_duration("100"), None);
/// ```
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit.trim_start() {
        "us" | "µs" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" | "min" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

/// Writes a time so that [`parse_duration`] reads it. Less than a microsecond is left out.
pub(super) fn written(time: Duration) -> String {
    match time.as_micros() {
        micros if micros % 1_000 != 0 => format!("{micros}us"),
        micros if micros % 1_000_000 != 0 => format!("{}ms", micros / 1_000),
        micros => format!("{}s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_their_unit_and_do_not_overflow() {
        assert_eq!(parse_duration("1500us"), Some(Duration::from_micros(1500)));
        assert_eq!(parse_duration(" 2 h "), Some(Duration::from_secs(7200)));
        for bad in [
            "5",
            "",
            "ms",
            "-1ms",
            "1.5s",
            "5 parsecs",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert_eq!(parse_duration("18446744073709551615d"), None);
    }

    #[test]
    fn a_written_time_is_read_again() {
        for text in ["250us", "100ms", "30s", "7200s"] {
            assert_eq!(written(parse_duration(text).unwrap()), text);
        }
    }
}
