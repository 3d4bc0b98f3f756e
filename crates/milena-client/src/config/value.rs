//! Values as they are written, and how each form is read.

use std::time::Duration;

/// A value as it was written: a text, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// A text, a number or a truth value, as text.
    Text(String),
    /// A list of those.
    #[cfg_attr(
        not(any(feature = "toml", feature = "yaml")),
        expect(dead_code, reason = "only files have lists of their own")
    )]
    List(Vec<String>),
}

/// A form of values: what may be written, and how it is read.
pub(crate) struct Form<T: 'static> {
    /// What may be written, for people.
    pub(crate) allowed: &'static str,
    /// Reads it; `None` is another form.
    pub(crate) read: fn(&Raw) -> Option<T>,
}

/// A length of time.
pub(crate) const DURATION: Form<Duration> = Form {
    allowed: "a time with its unit, such as 250us, 100ms, 30s, 5m or 1h",
    read: |raw| duration(raw.text()?),
};

/// A shortest and a longest wait.
pub(crate) const RANGE: Form<(Duration, Duration)> = Form {
    allowed: "a shortest and a longest time, such as 100ms..1s",
    read: |raw| {
        let (shortest, longest) = raw.text()?.split_once("..")?;
        let range = (duration(shortest)?, duration(longest)?);
        (range.0 <= range.1).then_some(range)
    },
};

/// A number of bytes.
pub(crate) const SIZE: Form<usize> = Form {
    allowed: "a number of bytes, or with a unit, such as 512KiB, 64MiB or 1GiB",
    read: |raw| size(raw.text()?),
};

/// A number of bytes that fits 32 bits.
pub(crate) const SMALL_SIZE: Form<u32> = Form {
    allowed: SIZE.allowed,
    read: |raw| u32::try_from(size(raw.text()?)?).ok(),
};

/// How many.
pub(crate) const COUNT: Form<usize> = Form {
    allowed: "a whole number",
    read: |raw| raw.text()?.parse().ok(),
};

/// How many, in 32 bits.
pub(crate) const SMALL_COUNT: Form<u32> = Form {
    allowed: "a whole number up to 4294967295",
    read: |raw| raw.text()?.parse().ok(),
};

/// Yes or no.
pub(crate) const BOOL: Form<bool> = Form {
    allowed: "true or false",
    read: |raw| raw.text()?.parse().ok(),
};

/// Any text.
pub(crate) const TEXT: Form<String> = Form {
    allowed: "a text",
    read: |raw| raw.text().map(str::to_owned),
};

/// Several texts.
pub(crate) const LIST: Form<Vec<String>> = Form {
    allowed: "a list, or one text with commas",
    read: |raw| {
        let items: Vec<_> = match raw {
            Raw::Text(text) => text.split(',').map(str::trim).map(str::to_owned).collect(),
            Raw::List(items) => items.clone(),
        };
        // As Kafka's clients do, which take `a:1,` too.
        let items: Vec<_> = items.into_iter().filter(|item| !item.is_empty()).collect();
        (!items.is_empty()).then_some(items)
    },
};

impl Raw {
    /// The text, without blanks around it.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Self::List(_) => None,
        }
    }

    /// As it would be written on one line.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(items) => format!("[{}]", items.join(", ")),
        }
    }
}

/// Reads `100ms`, `30s` and their like.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit {
        "us" | "µs" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" | "min" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

/// Reads `1024`, `64KiB` and their like.
pub(crate) fn size(text: &str) -> Option<usize> {
    let (number, unit) = split(text)?;
    let each: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number.checked_mul(each)?).ok()
}

/// A number and what follows it.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_need_their_unit_and_do_not_overflow() {
        assert_eq!(duration("1500us"), Some(Duration::from_micros(1500)));
        assert_eq!(duration(" 2 h "), Some(Duration::from_secs(7200)));
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("1024"), Some(1024));
        for bad in [
            "5",
            "",
            "ms",
            "-1ms",
            "1.5s",
            "5 parsecs",
            "99999999999999999999s",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
        assert_eq!(duration("18446744073709551615d"), None);
        for bad in ["64MB", "-1", "KiB", "18446744073709551615GiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_range_has_its_shorter_end_first() {
        let range = |text: &str| (RANGE.read)(&Raw::Text(text.to_owned()));
        let ms = Duration::from_millis;
        assert_eq!(range("100ms..1s"), Some((ms(100), ms(1000))));
        assert_eq!(range("1s..100ms"), None);
        assert_eq!(range("100ms"), None);
    }

    #[test]
    fn a_list_is_a_list_or_a_text_with_commas() {
        let read = |raw: &Raw| (LIST.read)(raw);
        let both = Some(vec!["a:1".to_owned(), "b:2".to_owned()]);
        assert_eq!(read(&Raw::Text("a:1, b:2".to_owned())), both);
        assert_eq!(
            read(&Raw::List(vec!["a:1".to_owned(), "b:2".to_owned()])),
            both
        );
        assert_eq!(read(&Raw::Text("a:1,,b:2,".to_owned())), both);
        assert_eq!(read(&Raw::Text(" , ".to_owned())), None);
    }
}
