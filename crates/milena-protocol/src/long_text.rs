//! Texts that are too long for Kafka. No string of the protocol has more than 32,767 bytes, and a
//! broker takes a longer one for a broken frame.

use std::fmt::Debug;

use milena_core::{Error, ErrorKind};

/// The most bytes of a string on the wire.
pub(crate) const LONGEST: usize = 32_767;

/// Returns the error of a message with a string that is too long. It names the string's field.
pub(crate) fn refused(message: &impl Debug, len: Option<usize>) -> Error {
    let shown = format!("{message:?}");
    let (field, len) = match find(&shown) {
        Some((field, found)) => (field, len.unwrap_or(found)),
        None => ("a string", len.unwrap_or(0)),
    };
    let what = format!(
        "`{field}` has {len} bytes, but a string in Kafka's protocol has at most {LONGEST}; shorten it"
    );
    Error::new(ErrorKind::Config, what)
}

/// Finds the first text that is too long in the `Debug` output of a message. Returns the name of
/// its field, and its length in bytes.
fn find(shown: &str) -> Option<(&str, usize)> {
    let mut field = "a string";
    let mut rest = shown;
    while let Some(quote) = rest.find('"') {
        let (before, text) = rest.split_at(quote);
        if let Some(name) = last_field(before) {
            field = name;
        }
        // `Debug` shows bytes as `b"…"`, and those may be longer.
        let is_text = !before.ends_with('b');
        let text = text.get(1..)?;
        let (len, end) = measure(text)?;
        if is_text && len > LONGEST {
            return Some((field, len));
        }
        rest = text.get(end..)?;
    }
    None
}

/// Returns the name before the last `name: ` of `shown`.
fn last_field(shown: &str) -> Option<&str> {
    let (before, _) = shown.rsplit_once(": ")?;
    let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    before.get(start.map_or(0, |at| at + 1)..)
}

/// Measures the text that ends at the next quote which is not escaped. Returns its length, and the
/// index at which the rest begins.
fn measure(shown: &str) -> Option<(usize, usize)> {
    let mut len = 0;
    let mut chars = shown.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((len, at + 1)),
            '\\' => {
                // An escaped character counts as one byte, although it may be more. This is exact
                // enough to find the text that is far too long.
                len += 1;
                chars.next()?;
            }
            _ => len += c.len_utf8(),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_of_the_long_text_is_named() {
        let long = "m".repeat(40_000);
        let shown = format!(
            r#"OffsetCommit {{ group_id: GroupId("g\"x"), data: b"{long}", topics: [T {{ name: "a", metadata: Some("{long}") }}] }}"#
        );
        assert_eq!(find(&shown), Some(("metadata", 40_000)));
        assert_eq!(find(r#"A { name: "short" }"#), None);
        assert_eq!(find(r#"A { name: "never ends"#), None);
    }
}
