//! Reads Java's properties files, line by line.

use std::iter::Peekable;
use std::str::{Chars, Lines};
use std::sync::Arc;

use milena_core::Result;

use crate::entry::Origin;

/// Returns the keys and values of a properties file, with their lines.
///
/// Keys and values are separated by `=`, `:` or blanks. Comments begin with `#` or `!`. A `\` at
/// the end continues a line on the next one. Java's escapes are read.
///
/// # Errors
/// An error for an invalid escape.
pub(crate) fn lines(source: &Arc<str>, text: &str) -> Result<Vec<(Origin, String, String)>> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    let mut number = 0;
    while let Some(line) = lines.next() {
        number += 1;
        let origin = Origin::line(source, number);
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let whole = joined(line, &mut lines, &mut number);
        let mut chars = whole.chars().peekable();
        let bad = || origin.refuse("a `\\u` needs four hexadecimal digits after it");
        let key = part(&mut chars, true).ok_or_else(bad)?;
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        chars.next_if(|c| matches!(c, '=' | ':'));
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let value = part(&mut chars, false).ok_or_else(bad)?;
        found.push((origin, key, value));
    }
    Ok(found)
}

/// Joins a line with the lines that continue it.
fn joined(first: &str, lines: &mut Lines<'_>, number: &mut usize) -> String {
    let mut whole = first.to_owned();
    let goes_on = |line: &str| {
        let slashes = line.chars().rev().take_while(|c| *c == '\\').count();
        slashes % 2 == 1
    };
    while goes_on(&whole) {
        whole.pop();
        let Some(next) = lines.next() else { break };
        *number += 1;
        whole.push_str(next.trim_start());
    }
    whole
}

/// Reads a key up to its separator, or a value. Returns `None` for an invalid escape.
fn part(chars: &mut Peekable<Chars<'_>>, key: bool) -> Option<String> {
    let mut text = String::new();
    while let Some(c) = chars.next_if(|c| !key || !(c.is_whitespace() || matches!(c, '=' | ':'))) {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => text.push('\t'),
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                text.push(
                    code.filter(|_| digits.len() == 4)
                        .and_then(char::from_u32)?,
                );
            }
            Some(other) => text.push(other),
            None => {}
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String, Option<usize>)> {
        let found = lines(&"a.properties".into(), text).unwrap();
        let shown = |(origin, key, value): (Origin, _, _)| (key, value, origin.line);
        found.into_iter().map(shown).collect()
    }

    #[test]
    fn lines_are_read_as_java_reads_them() {
        let text = "# comment\n! another\n\na=1\n  b : two words \nc 3\nd=x\\\n   y\ne\\ f=g\\=h\\u00e5\nempty=\n";
        let expected = [
            ("a", "1", 4),
            ("b", "two words ", 5),
            ("c", "3", 6),
            ("d", "xy", 7),
            ("e f", "g=hå", 9),
            ("empty", "", 10),
        ];
        let expected = expected.map(|(k, v, n)| (k.to_owned(), v.to_owned(), Some(n)));
        assert_eq!(read(text), expected);
    }

    #[test]
    fn a_broken_escape_names_its_line() {
        let Err(error) = lines(&"a.properties".into(), "a=1\nb=\\u12g4\n") else {
            panic!("was read")
        };
        assert!(error.to_string().contains("a.properties line 2"), "{error}");
    }
}
