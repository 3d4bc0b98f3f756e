//! The filter of shown records, by key, value and headers.

use super::args::Consume;
use crate::format::Shown;

/// The conditions that a shown record meets. All of them must hold.
pub(super) struct Filter {
    /// The pattern of the key. `None` accepts every key.
    key: Option<Vec<u8>>,
    /// The pattern of the value. `None` accepts every value.
    value: Option<Vec<u8>>,
    /// The names of required headers, with the pattern of the last value.
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Filter {
    pub(super) fn new(args: &Consume) -> Self {
        let bytes = |text: &String| text.clone().into_bytes();
        let header = |text: &String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.as_bytes().to_vec())),
            None => (text.clone(), None),
        };
        Self {
            key: args.key.as_ref().map(bytes),
            value: args.value.as_ref().map(bytes),
            headers: args.headers.iter().map(header).collect(),
        }
    }

    /// Returns true if the record is to be shown.
    pub(super) fn lets_through(&self, record: &Shown<'_>) -> bool {
        let holds = |pattern: &Option<Vec<u8>>, bytes: Option<&[u8]>| match (pattern, bytes) {
            (None, _) => true,
            (Some(pattern), Some(bytes)) => matches(pattern, bytes),
            (Some(_), None) => false,
        };
        // The last header of that name counts, as for readers that take a single header.
        let header = |(name, pattern): &(String, Option<Vec<u8>>)| {
            let last = record.headers.get(name);
            last.is_some_and(|value| holds(pattern, value))
        };
        holds(&self.key, record.key)
            && holds(&self.value, record.value)
            && self.headers.iter().all(header)
    }
}

/// Returns true if `bytes` match `pattern`, in which `*` stands for any bytes.
fn matches(pattern: &[u8], bytes: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = bytes.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&[u8]> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_bytes() {
        for (pattern, bytes) in [
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abc"),
            ("*b*", "abc"),
            ("*", ""),
            ("abc", "abc"),
            ("a**c", "ac"),
        ] {
            assert!(
                matches(pattern.as_bytes(), bytes.as_bytes()),
                "{pattern} {bytes}"
            );
        }
        for (pattern, bytes) in [
            ("a", "abc"),
            ("b*", "abc"),
            ("*b", "abc"),
            ("ab*bc", "abc"),
            ("", "a"),
        ] {
            assert!(
                !matches(pattern.as_bytes(), bytes.as_bytes()),
                "{pattern} {bytes}"
            );
        }
    }
}
