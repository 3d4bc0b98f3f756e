//! Reads TOML with keys, values, arrays, and tables of these.

use std::sync::Arc;

use milena_core::Result;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::entry::{Entry, Origin};
use crate::section::Section;
use crate::value::Raw;

/// Returns the settings of a TOML document.
///
/// # Errors
/// An error if the text is no TOML, or if it is nested more deeply than sections of settings.
pub(crate) fn entries(source: &Arc<str>, text: &str) -> Result<Vec<Entry>> {
    let place = |at: usize| Origin::line(source, line_of(text, at));
    let document = DeTable::parse(text).map_err(|cause| {
        let at = cause.span().map_or(0, |span| span.start);
        place(at).refuse(format_args!("invalid TOML: {}", cause.message()))
    })?;
    let mut entries = Vec::new();
    for (key, value) in document.into_inner() {
        match value.get_ref() {
            _ if key.get_ref() == Section::PROGRAM => {}
            DeValue::Table(table) => {
                for (inner, value) in table {
                    entries.push(entry(&place, Some(&key), inner, value)?);
                }
            }
            _ => entries.push(entry(&place, None, &key, &value)?),
        }
    }
    Ok(entries)
}

fn entry(
    place: &dyn Fn(usize) -> Origin,
    section: Option<&Spanned<DeString<'_>>>,
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
) -> Result<Entry> {
    let origin = place(key.span().start);
    let deeper = |what: &str| origin.refuse(format_args!("`{}` {what}", key.get_ref()));
    let value = match value.get_ref() {
        DeValue::Array(items) => {
            let texts = items.iter().map(|item| scalar(item.get_ref()));
            let texts: Option<Vec<_>> = texts.collect();
            Raw::List(texts.ok_or_else(|| deeper("must be a list of plain values"))?)
        }
        value => {
            let text = scalar(value);
            Raw::Text(text.ok_or_else(|| deeper("holds keys, but must hold a value"))?)
        }
    };
    Ok(Entry {
        origin,
        section: section.map(|name| name.get_ref().to_string()),
        key: key.get_ref().to_string(),
        value,
    })
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

/// Returns the line of a byte, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.bytes().take(at);
    before.filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_below_app_is_a_setting_however_deep_it_is() {
        let text = "client_id = \"x\"\n[app.http]\nport = 8080\ntls = { cert = \"a\" }\n[[app.shards]]\nid = 1\n";
        let entries = entries(&"x.toml".into(), text).unwrap();
        let keys: Vec<_> = entries.iter().map(Entry::path).collect();
        assert_eq!(keys, ["client_id"]);
    }
}
