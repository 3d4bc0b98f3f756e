//! Converts values of other clients to milena's form.

use milena_core::{AssignorName, Codec, PartitionerName};

/// A function that converts a value to milena's form. It may read other properties. Returns `None`
/// if the value cannot be read, and an empty text if it sets nothing.
pub(super) type Convert = fn(&str, &dyn Fn(&str) -> Option<String>) -> Option<String>;

/// Returns the value unchanged.
pub(super) fn same(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    Some(value.to_owned())
}

/// Converts a truth value to lower case.
pub(super) fn lower(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    Some(value.to_ascii_lowercase())
}

/// Converts milliseconds.
pub(super) fn millis(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    value.parse::<u64>().ok().map(|ms| format!("{ms}ms"))
}

/// Converts milliseconds. Zero sets nothing.
pub(super) fn above_zero(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match value.parse::<u64>().ok()? {
        0 => Some(String::new()),
        ms => Some(format!("{ms}ms")),
    }
}

/// Converts milliseconds. Java's -1 and librdkafka's 0 mean no limit, and become a year.
pub(super) fn for_ever(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match value {
        "-1" | "0" => Some("365d".to_owned()),
        _ => value.parse::<u64>().ok().map(|ms| format!("{ms}ms")),
    }
}

/// Converts the number of requests in flight. An idempotent producer can have at most five. The
/// default of librdkafka is a million, so a larger value becomes five unless idempotence is turned
/// off.
pub(super) fn in_flight(value: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let most = match of("enable.idempotence") {
        Some(given) if given.eq_ignore_ascii_case("false") => u64::MAX,
        _ => 5,
    };
    Some(value.parse::<u64>().ok()?.min(most).to_string())
}

/// Converts a truth value to its opposite.
pub(super) fn not(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let value: bool = value.to_ascii_lowercase().parse().ok()?;
    Some((!value).to_string())
}

/// Converts the class names of Java's assignors, and keeps the names of librdkafka's.
pub(super) fn assignors(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    fn name(class: &str) -> &str {
        let name = class.trim().rsplit('.').next().unwrap_or_default();
        match name {
            "RangeAssignor" => AssignorName::Range.name(),
            "RoundRobinAssignor" => AssignorName::RoundRobin.name(),
            "StickyAssignor" => AssignorName::Sticky.name(),
            "CooperativeStickyAssignor" => AssignorName::CooperativeSticky.name(),
            other => other,
        }
    }
    let names: Vec<_> = value.split(',').map(name).collect();
    Some(names.join(", "))
}

/// Converts milliseconds with a fraction, as librdkafka accepts them.
pub(super) fn fraction(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let (whole, rest) = value.split_once('.').unwrap_or((value, ""));
    if rest.len() > 3 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros: u64 = format!("{whole}{rest:0<3}").parse().ok()?;
    Some(format!("{micros}us"))
}

/// Converts kibibytes.
pub(super) fn kibibytes(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    value.parse::<u64>().ok().map(|kib| format!("{kib}KiB"))
}

/// Converts a number of retries. Java writes the largest number for no limit, and librdkafka writes
/// `-1`.
pub(super) fn times(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match value {
        "-1" | "2147483647" => Some(u32::MAX.to_string()),
        _ => Some(value.to_owned()),
    }
}

/// Converts the shortest wait between retries, together with the longest.
pub(super) fn retry(value: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    range(value, of("retry.backoff.max.ms"), 1000)
}

/// Converts the shortest wait between dials, together with the longest.
pub(super) fn reconnect(value: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    range(value, of("reconnect.backoff.max.ms"), 1000)
}

fn range(shortest: &str, longest: Option<String>, default: u64) -> Option<String> {
    // A wait of zero would retry in a busy loop.
    let shortest = shortest.parse::<u64>().ok()?.max(1);
    let longest: u64 = match longest {
        Some(longest) => longest.parse().ok()?,
        None => default,
    };
    Some(format!("{shortest}ms..{}ms", longest.max(shortest)))
}

/// Converts a codec, together with its level.
pub(super) fn compression(codec: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if codec == "inherit" {
        // In librdkafka, a topic with this value uses the codec of the producer.
        return Some(String::new());
    }
    let own = of(&format!("compression.{codec}.level"));
    let level = own.or_else(|| of("compression.level"));
    match level.filter(|level| level != "-1") {
        Some(level) if has_levels(codec) => Some(format!("{codec}:{level}")),
        _ => Some(codec.to_owned()),
    }
}

/// Returns true if this is the name of a codec that has levels.
fn has_levels(codec: &str) -> bool {
    codec
        .parse::<Codec>()
        .is_ok_and(|codec| codec.levels().is_some())
}

/// Converts the position for a partition without a committed offset.
pub(super) fn reset(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    Some(match value {
        "earliest" | "smallest" | "beginning" => "earliest".to_owned(),
        "latest" | "largest" | "end" => "latest".to_owned(),
        "none" | "error" => "none".to_owned(),
        _ => format!("duration:{}s", iso(value.strip_prefix("by_duration:")?)?),
    })
}

/// Reads the seconds of an ISO 8601 duration in days, hours, minutes and seconds.
fn iso(text: &str) -> Option<u64> {
    let (days, times) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, times)) => (days, times),
        None => (text.strip_prefix('P')?, ""),
    };
    let mut seconds = match days {
        "" => 0,
        _ => days
            .strip_suffix('D')?
            .parse::<u64>()
            .ok()?
            .checked_mul(86_400)?,
    };
    let mut number = String::new();
    for c in times.chars() {
        let each = match c {
            '0'..='9' => {
                number.push(c);
                continue;
            }
            'H' => 3600,
            'M' => 60,
            'S' => 1,
            _ => return None,
        };
        let count: u64 = number.parse().ok()?;
        seconds = count.checked_mul(each)?.checked_add(seconds)?;
        number.clear();
    }
    number.is_empty().then_some(seconds)
}

/// Converts the class name of a Java partitioner.
pub(super) fn class(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let name = value.rsplit('.').next()?;
    Some(match name {
        "DefaultPartitioner" | "BuiltInPartitioner" => PartitionerName::Java.to_string(),
        "RoundRobinPartitioner" => PartitionerName::RoundRobin.to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn durations_of_iso_8601_are_read() {
        assert_eq!(
            reset("by_duration:PT6H30M", &none).as_deref(),
            Some("duration:23400s")
        );
        assert_eq!(
            reset("by_duration:P1DT1S", &none).as_deref(),
            Some("duration:86401s")
        );
        for bad in [
            "by_duration:6H",
            "by_duration:PT6",
            "by_duration:P1Y",
            "newest",
        ] {
            assert_eq!(reset(bad, &none), None, "{bad}");
        }
    }

    #[test]
    fn fractions_of_milliseconds_are_kept() {
        assert_eq!(fraction("0.5", &none).as_deref(), Some("500us"));
        assert_eq!(fraction("5", &none).as_deref(), Some("5000us"));
        assert_eq!(fraction("1e3", &none), None);
    }

    #[test]
    fn no_end_is_a_year_and_no_wait_a_millisecond() {
        assert_eq!(for_ever("-1", &none).as_deref(), Some("365d"));
        assert_eq!(for_ever("540000", &none).as_deref(), Some("540000ms"));
        assert_eq!(for_ever("-2", &none), None);
        assert_eq!(retry("0", &none).as_deref(), Some("1ms..1000ms"));
    }

    #[test]
    fn requests_in_flight_are_five_where_the_producer_is_idempotent() {
        let off = |name: &str| (name == "enable.idempotence").then(|| "False".to_owned());
        assert_eq!(in_flight("1000000", &none).as_deref(), Some("5"));
        assert_eq!(in_flight("1000000", &off).as_deref(), Some("1000000"));
        assert_eq!(in_flight("2", &none).as_deref(), Some("2"));
    }

    #[test]
    fn a_level_goes_with_its_codec() {
        let of = |name: &str| (name == "compression.zstd.level").then(|| "3".to_owned());
        assert_eq!(compression("zstd", &of).as_deref(), Some("zstd:3"));
        assert_eq!(compression("lz4", &of).as_deref(), Some("lz4"));
    }
}
