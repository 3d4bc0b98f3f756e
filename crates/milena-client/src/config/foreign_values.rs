//! Values as other clients write them, turned into milena's.

/// Turns a value into milena's form; may look at other properties. `None` cannot be read, an empty text sets nothing.
pub(super) type Convert = fn(&str, &dyn Fn(&str) -> Option<String>) -> Option<String>;

/// As it is.
pub(super) fn same(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    Some(value.to_owned())
}

/// In lower case: truth values.
pub(super) fn lower(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    Some(value.to_ascii_lowercase())
}

/// Milliseconds.
pub(super) fn millis(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    value.parse::<u64>().ok().map(|ms| format!("{ms}ms"))
}

/// Milliseconds, of which zero says nothing.
pub(super) fn above_zero(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match value.parse::<u64>().ok()? {
        0 => Some(String::new()),
        ms => Some(format!("{ms}ms")),
    }
}

/// Milliseconds, of which Java's -1 and librdkafka's 0 mean without end.
pub(super) fn for_ever(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match value {
        "-1" | "0" => Some("365d".to_owned()),
        _ => value.parse::<u64>().ok().map(|ms| format!("{ms}ms")),
    }
}

/// Requests under way. Producers are idempotent unless that is turned off, and can have five then; librdkafka's
/// default is a million.
pub(super) fn in_flight(value: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let most = match of("enable.idempotence") {
        Some(given) if given.eq_ignore_ascii_case("false") => u64::MAX,
        _ => 5,
    };
    Some(value.parse::<u64>().ok()?.min(most).to_string())
}

/// The opposite truth value.
pub(super) fn not(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let value: bool = value.to_ascii_lowercase().parse().ok()?;
    Some((!value).to_string())
}

/// Assignors by Java's classes or librdkafka's names.
pub(super) fn assignors(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let name = |class: &str| {
        let name = class.trim().rsplit('.').next().unwrap_or_default();
        match name {
            "RangeAssignor" => "range".to_owned(),
            "RoundRobinAssignor" => "roundrobin".to_owned(),
            "StickyAssignor" => "sticky".to_owned(),
            "CooperativeStickyAssignor" => "cooperative-sticky".to_owned(),
            other => other.to_owned(),
        }
    };
    let names: Vec<_> = value.split(',').map(name).collect();
    Some(names.join(", "))
}

/// Milliseconds, where librdkafka takes fractions.
pub(super) fn fraction(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let (whole, rest) = value.split_once('.').unwrap_or((value, ""));
    if rest.len() > 3 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let micros: u64 = format!("{whole}{rest:0<3}").parse().ok()?;
    Some(format!("{micros}us"))
}

/// Kibibytes.
pub(super) fn kibibytes(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    value.parse::<u64>().ok().map(|kib| format!("{kib}KiB"))
}

/// How often, where Java writes "without end" as the largest number and librdkafka `-1`.
pub(super) fn times(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match value {
        "-1" | "2147483647" => Some(u32::MAX.to_string()),
        _ => Some(value.to_owned()),
    }
}

/// The shortest wait, together with the longest.
pub(super) fn retry(value: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    range(value, of("retry.backoff.max.ms"), 1000)
}

/// The same between dials.
pub(super) fn reconnect(value: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    range(value, of("reconnect.backoff.max.ms"), 1000)
}

fn range(shortest: &str, longest: Option<String>, default: u64) -> Option<String> {
    // None at all would be a hot loop.
    let shortest = shortest.parse::<u64>().ok()?.max(1);
    let longest: u64 = match longest {
        Some(longest) => longest.parse().ok()?,
        None => default,
    };
    Some(format!("{shortest}ms..{}ms", longest.max(shortest)))
}

/// A codec, together with its level.
pub(super) fn compression(codec: &str, of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    if codec == "inherit" {
        // librdkafka's topics, which go by the producer.
        return Some(String::new());
    }
    let own = of(&format!("compression.{codec}.level"));
    let level = own.or_else(|| of("compression.level"));
    match level.filter(|level| level != "-1") {
        Some(level) if matches!(codec, "gzip" | "lz4" | "zstd") => Some(format!("{codec}:{level}")),
        _ => Some(codec.to_owned()),
    }
}

/// Where to begin.
pub(super) fn reset(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    Some(match value {
        "earliest" | "smallest" | "beginning" => "earliest".to_owned(),
        "latest" | "largest" | "end" => "latest".to_owned(),
        "none" | "error" => "none".to_owned(),
        _ => format!("duration:{}s", iso(value.strip_prefix("by_duration:")?)?),
    })
}

/// The seconds of an ISO 8601 duration of days, hours, minutes and seconds.
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

/// A partitioner by Java's class.
pub(super) fn class(value: &str, _: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let name = value.rsplit('.').next()?;
    Some(match name {
        "DefaultPartitioner" | "BuiltInPartitioner" => "java".to_owned(),
        "RoundRobinPartitioner" => "round-robin".to_owned(),
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
