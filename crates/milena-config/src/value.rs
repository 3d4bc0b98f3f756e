//! Values as they are written, and the forms in which they are read.

use std::str::FromStr;
use std::time::Duration;

use milena_core::{Address, Backoff, Error, parse_duration, placeholder};

/// A value as it was written, which is nothing, a text, or a list of texts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Raw {
    /// No value, such as YAML's `null`. The setting stays as it was.
    #[cfg_attr(
        not(feature = "yaml"),
        expect(dead_code, reason = "only YAML has a word for nothing")
    )]
    Null,
    /// A text, a number or a truth value, as text.
    Text(String),
    /// A list of texts.
    #[cfg_attr(
        not(any(test, feature = "toml", feature = "yaml")),
        expect(dead_code, reason = "only files have lists of their own")
    )]
    List(Vec<String>),
}

/// A form of values. Describes the accepted values and reads them.
pub(crate) struct Form<T: 'static> {
    /// The accepted values, for people.
    pub(crate) allowed: &'static str,
    /// Explains why a value is refused. `None` if `allowed` says enough.
    pub(crate) why: fn(&Raw) -> Option<String>,
    /// Reads a value. `None` if it does not have this form.
    pub(crate) read: fn(&Raw) -> Option<T>,
}

impl<T: FromStr<Err = Error>> Form<T> {
    /// Returns the form of a setting whose values are words.
    pub(crate) const fn of_word(allowed: &'static str) -> Self {
        Self {
            allowed,
            why: unsaid,
            read: |raw| raw.text()?.parse().ok(),
        }
    }
}

/// A time with its unit.
pub(crate) const DURATION: Form<Duration> = Form {
    allowed: "a time with its unit, such as 250us, 100ms, 30s, 5m or 1h",
    why: unsaid,
    read: |raw| parse_duration(raw.text()?),
};

/// A shortest and a longest wait.
const RANGE: Form<(Duration, Duration)> = Form {
    allowed: "a shortest and a longest time, such as 100ms..1s",
    why: unsaid,
    read: |raw| {
        let (shortest, longest) = raw.text()?.split_once("..")?;
        let range = (parse_duration(shortest)?, parse_duration(longest)?);
        (range.0 <= range.1).then_some(range)
    },
};

/// A backoff by its shortest and its longest wait.
pub(crate) const BACKOFF: Form<Backoff> = Form {
    allowed: RANGE.allowed,
    why: unsaid,
    read: |raw| {
        let (shortest, longest) = (RANGE.read)(raw)?;
        Some(Backoff::new(shortest, longest))
    },
};

/// A number of bytes.
pub(crate) const SIZE: Form<usize> = Form {
    allowed: "a number of bytes, or with a unit, such as 512KiB, 64MiB or 1GiB",
    why: unsaid,
    read: |raw| size(raw.text()?),
};

/// A number of bytes that fits 32 bits.
pub(crate) const SMALL_SIZE: Form<u32> = Form {
    allowed: SIZE.allowed,
    why: unsaid,
    read: |raw| u32::try_from(size(raw.text()?)?).ok(),
};

/// A whole number.
pub(crate) const COUNT: Form<usize> = Form {
    allowed: "a whole number",
    why: unsaid,
    read: |raw| usize::try_from(integer(raw.text()?)?).ok(),
};

/// A whole number that fits 32 bits.
pub(crate) const SMALL_COUNT: Form<u32> = Form {
    allowed: "a whole number up to 4294967295",
    why: unsaid,
    read: |raw| u32::try_from(integer(raw.text()?)?).ok(),
};

/// A truth value.
pub(crate) const BOOL: Form<bool> = Form {
    allowed: "true or false",
    why: unsaid,
    read: |raw| match raw.text()? {
        // The spellings are those of YAML's core schema.
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    },
};

/// Any text.
pub(crate) const TEXT: Form<String> = Form {
    allowed: "a text",
    why: unsaid,
    read: |raw| raw.text().map(str::to_owned),
};

/// A list of texts.
pub(crate) const LIST: Form<Vec<String>> = Form {
    allowed: "a list, or one text with commas",
    why: unsaid,
    read: |raw| {
        let items: Vec<_> = match raw {
            Raw::Text(text) => text.split(',').map(str::trim).map(str::to_owned).collect(),
            Raw::List(items) => items.clone(),
            Raw::Null => Vec::new(),
        };
        // Kafka's clients accept an empty item too, as in `a:1,`.
        let items: Vec<_> = items.into_iter().filter(|item| !item.is_empty()).collect();
        (!items.is_empty()).then_some(items)
    },
};

impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Raw {
    /// Returns the text, without blanks around it. `None` for an empty text or another form.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Self::List(_) | Self::Null => None,
        }
    }

    /// Returns true if the value sets nothing, because there is none or it is a text of blanks.
    pub(crate) fn is_unset(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::List(_) => false,
        }
    }

    /// Formats the value on one line. Parts that may be secret are left out.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Text(text) => harmless(text),
            Self::List(items) => {
                let items: Vec<_> = items.iter().map(|item| harmless(item)).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    /// Returns a defect that no setting accepts. It is a placeholder that was not expanded, or
    /// quotes around the value.
    pub(crate) fn defect(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => defect(text),
            Self::List(items) => items.iter().find_map(|item| defect(item)),
        }
    }
}

/// Returns a defect of a text that no setting accepts.
pub(crate) fn defect(text: &str) -> Option<String> {
    if let Some(placeholder) = placeholder(text) {
        return Some(format!(
            "holds the placeholder `{placeholder}`; nothing is expanded here, so insert the value before the settings are read"
        ));
    }
    let quoted = |quote: char| {
        let inner = text.trim().strip_prefix(quote);
        inner.is_some_and(|inner| inner.ends_with(quote))
    };
    if quoted('"') || quoted('\'') {
        return Some("is in quotes, which are part of the value here; leave them out".to_owned());
    }
    None
}

/// Formats a text without its secrets. The name and the password before an address are left out. A
/// text that assigns a secret, such as the line of a login module, is hidden completely.
fn harmless(text: &str) -> String {
    let plain = text.to_ascii_lowercase();
    if ["password", "secret", "token", "apikey"]
        .iter()
        .any(|word| plain.contains(word))
    {
        return "(hidden)".to_owned();
    }
    Address::redacted(text)
}

/// Explains nothing, because `allowed` says enough.
pub(crate) fn unsaid(_: &Raw) -> Option<String> {
    None
}

/// Reads a whole number as YAML's core schema writes it, such as `16`, `+16`, `0o20` or `0x10`.
pub(crate) fn integer(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let plain = |digits: &str, radix: u32| {
        let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        all.then(|| u64::from_str_radix(digits, radix).ok())?
    };
    match (text.strip_prefix("0o"), text.strip_prefix("0x")) {
        (Some(octal), _) => plain(octal, 8),
        (_, Some(hexadecimal)) => plain(hexadecimal, 16),
        _ => plain(digits, 10),
    }
}

/// Reads a size such as `1024` or `64KiB`.
pub(crate) fn size(text: &str) -> Option<usize> {
    let text = text.trim();
    if let Some(bytes) = integer(text) {
        return usize::try_from(bytes).ok();
    }
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let each: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    usize::try_from(number.checked_mul(each)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_their_unit_and_do_not_overflow() {
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size(" 64 KiB "), Some(64 << 10));
        assert_eq!(size("1024"), Some(1024));
        for bad in ["64MB", "-1", "KiB", "18446744073709551615GiB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn whole_numbers_are_those_of_yaml() {
        for (text, number) in [
            ("16", 16),
            ("+16", 16),
            ("0o20", 16),
            ("0x1F", 31),
            ("017", 17),
        ] {
            assert_eq!(integer(text), Some(number), "{text}");
        }
        for bad in [
            "",
            "+",
            "-1",
            "0o",
            "0o8",
            "0x",
            "0b1",
            "1e3",
            "1_000",
            "+0o7",
            "99999999999999999999",
        ] {
            assert_eq!(integer(bad), None, "{bad}");
        }
        assert_eq!(size("0x10000"), Some(65536));
    }

    #[test]
    fn a_secret_in_a_value_is_not_shown() {
        for text in [
            "user:hunter2@a:1=b:2",
            "x required password='hunter2';",
            "client_secret: hunter2",
        ] {
            let shown = Raw::Text(text.to_owned()).shown();
            assert!(!shown.contains("hunter2"), "{shown}");
        }
        assert_eq!(Raw::List(vec!["a:1".to_owned()]).shown(), "[a:1]");
    }

    #[test]
    fn quotes_and_placeholders_are_a_defect_whatever_the_setting() {
        for (text, word) in [
            ("\"all\"", "quotes"),
            ("'x'", "quotes"),
            ("${X}", "`${X}`"),
            ("%X%", "`%X%`"),
        ] {
            let why = defect(text).unwrap();
            assert!(why.contains(word), "{why}");
        }
        for fine in ["it's", "\"", "say \"x\"", "100%"] {
            assert_eq!(defect(fine), None, "{fine}");
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
