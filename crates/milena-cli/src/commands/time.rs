//! Points in time, as users write them.

/// Reads milliseconds since 1970, or a date such as `2026-02-17`, `2026-02-17T09:30:00Z` or `…00.250Z`, in UTC.
pub(super) fn time(text: &str) -> Result<i64, String> {
    if let Ok(millis) = text.parse::<i64>() {
        return Ok(millis);
    }
    let wrong = || {
        format!(
            "'{text}' is neither milliseconds since 1970 nor a date such as 2026-02-17T09:30:00Z"
        )
    };
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock.trim_end_matches('Z')),
        None => (text.trim_end_matches('Z'), "0:0:0"),
    };
    let numbers = |text: &str, by: char| {
        let parts: Result<Vec<i64>, _> = text.split(by).map(str::parse).collect();
        parts.map_err(|_| wrong())
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let millis: f64 = format!("0.{fraction}").parse().map_err(|_| wrong())?;
    let [year, month, day] = numbers(date, '-')?[..] else {
        return Err(wrong());
    };
    let (hour, minute, second) = match numbers(clock, ':')?[..] {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return Err(wrong()),
    };
    let sound = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..61).contains(&second);
    if !sound {
        return Err(wrong());
    }
    // Years begin in March, so that the leap day is the last.
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let year = year - i64::from(month <= 2);
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day - 1;
    let days = days - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Ok(seconds * 1000 + (millis * 1000.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_or_dates() {
        assert_eq!(time("1771320600250"), Ok(1_771_320_600_250));
        assert_eq!(time("2026-02-17T09:30:00.250Z"), Ok(1_771_320_600_250));
        assert_eq!(time("2024-02-29"), Ok(1_709_164_800_000));
        assert_eq!(time("1970-01-01 00:01"), Ok(60_000));
        for wrong in ["", "today", "2026-13-01", "2026-02-17T25:00", "2026-02"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
