//! Records written by a format or as JSON.

use std::io::Write as _;

use milena::core::HeadersRef;
use milena::{ConsumerRecord, RecordRef, TopicPartition};
use serde_json::{Map, Value, json};

use super::encoding::{Encoding, base64};
use super::{Field, Piece, RecordFormat, headers};
use crate::output::is_hidden;

/// The parts of a record that can be shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// The topic and partition.
    pub(crate) place: &'a TopicPartition,
    /// The offset.
    pub(crate) offset: i64,
    /// Milliseconds since 1970, or -1 if the record has no timestamp.
    pub(crate) timestamp: i64,
    /// The key. `None` for null.
    pub(crate) key: Option<&'a [u8]>,
    /// The value. `None` for null.
    pub(crate) value: Option<&'a [u8]>,
    /// The headers, in their order.
    pub(crate) headers: HeadersRef<'a>,
}

impl<'a> Shown<'a> {
    /// Takes a record of a batch.
    pub(crate) fn of(place: &'a TopicPartition, record: &RecordRef<'a>) -> Self {
        Self {
            place,
            offset: record.offset.to_wire(),
            timestamp: record.timestamp.map_or(-1, milena::Timestamp::to_millis),
            key: record.key,
            value: record.value,
            headers: record.headers,
        }
    }

    /// Takes a record that owns its bytes.
    pub(crate) fn owned(place: &'a TopicPartition, record: &'a ConsumerRecord) -> Self {
        Self {
            place,
            offset: record.offset.to_wire(),
            timestamp: record.timestamp.map_or(-1, milena::Timestamp::to_millis),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: record.headers.view(),
        }
    }
}

impl RecordFormat {
    /// Writes a record at the end of `out`.
    pub(crate) fn write(&self, record: &Shown<'_>, out: &mut Vec<u8>) {
        let mut pieces = self.pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Field(field) => {
                    let end = match pieces.peek() {
                        Some(Piece::Literal(text)) => text.first().copied(),
                        _ => None,
                    };
                    self.field(field, record, end, out);
                }
            }
        }
    }

    /// Writes a field. `end` is the byte that follows it.
    fn field(&self, field: &Field, record: &Shown<'_>, end: Option<u8>, out: &mut Vec<u8>) {
        let length = |bytes: Option<&[u8]>| {
            bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX))
        };
        match field {
            Field::Topic => out.extend_from_slice(record.place.topic.as_bytes()),
            Field::Partition => number(record.place.partition.to_wire().into(), out),
            Field::Offset => number(record.offset, out),
            Field::Timestamp => number(record.timestamp, out),
            Field::Date => out.extend_from_slice(date(record.timestamp).as_bytes()),
            Field::Key(encoding) => self.bytes(record.key, *encoding, out),
            Field::Value(encoding) => self.bytes(record.value, *encoding, out),
            Field::KeyLength => number(length(record.key), out),
            Field::ValueLength => number(length(record.value), out),
            Field::HeaderCount => number(record.headers.len() as i64, out),
            Field::Headers => {
                let from = out.len();
                headers::write(record.headers, self.null.as_deref(), end, out);
                if self.guarded {
                    let text = out.split_off(from);
                    guard(&text, out);
                }
            }
            Field::Header(name, encoding) => {
                let value = record.headers.get(name).flatten();
                self.bytes(value, *encoding, out);
            }
        }
    }

    /// Writes a key, a value or a header's value.
    fn bytes(&self, bytes: Option<&[u8]>, encoding: Encoding, out: &mut Vec<u8>) {
        match (bytes, &self.null) {
            (Some(bytes), _) if self.guarded && encoding == Encoding::Raw => guard(bytes, out),
            (Some(bytes), _) => encoding.write(bytes, out),
            (None, _) if encoding == Encoding::Json => out.extend_from_slice(b"null"),
            (None, Some(null)) => out.extend_from_slice(null),
            (None, None) => {}
        }
    }
}

/// Writes bytes so that a terminal only shows them. Line ends and tabs stay, and other control
/// characters become escapes.
fn guard(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match is_hidden(letter) && !matches!(letter, '\n' | '\t') {
                true => out.extend(letter.escape_default().map(|escape| escape as u8)),
                false => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
        }
    }
}

/// Escapes characters in the JSON from `from` on that JSON permits and a terminal would act on.
pub(crate) fn guard_json(line: &mut Vec<u8>, from: usize) {
    let Some(text) = line
        .get(from..)
        .and_then(|text| std::str::from_utf8(text).ok())
    else {
        return;
    };
    let hidden = |letter: char| is_hidden(letter) && letter != '\n';
    if !text.contains(hidden) {
        return;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        // All hidden characters are below U+10000, so one escape holds them.
        match hidden(letter) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(letter))),
            false => shown.push(letter),
        }
    }
    line.truncate(from);
    line.extend_from_slice(shown.as_bytes());
}

/// Writes a record as one line of JSON. Bytes that are not UTF-8 are written in base64 under
/// `key_base64` and the like.
pub(crate) fn json_line(record: &Shown<'_>, out: &mut Vec<u8>) {
    let mut object = Map::new();
    object.insert("topic".to_owned(), json!(record.place.topic.as_str()));
    object.insert(
        "partition".to_owned(),
        json!(record.place.partition.to_wire()),
    );
    object.insert("offset".to_owned(), json!(record.offset));
    object.insert("timestamp".to_owned(), json!(record.timestamp));
    insert(&mut object, "key", record.key);
    insert(&mut object, "value", record.value);
    let headers = record.headers.iter().map(|header| {
        let mut object = Map::new();
        insert(&mut object, "name", Some(header.key));
        insert(&mut object, "value", header.value);
        Value::Object(object)
    });
    object.insert("headers".to_owned(), Value::Array(headers.collect()));
    out.extend_from_slice(Value::Object(object).to_string().as_bytes());
    out.push(b'\n');
}

/// Adds bytes to an object, as text or in base64.
fn insert(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), json!(text)),
        Some(Err(_)) => {
            let mut text = Vec::new();
            base64(bytes.unwrap_or_default(), &mut text);
            let text = String::from_utf8_lossy(&text).into_owned();
            object.insert(format!("{name}_base64"), json!(text))
        }
    };
}

/// Writes a number in decimal.
fn number(number: i64, out: &mut Vec<u8>) {
    // A write to memory does not fail.
    let _ = write!(out, "{number}");
}

/// Writes milliseconds since 1970 as `2026-02-17T09:30:00.250Z`. Returns an empty text for a
/// negative time, and the number itself if it is beyond the calendar.
pub(crate) fn date(millis: i64) -> String {
    match jiff::Timestamp::from_millisecond(millis) {
        _ if millis < 0 => String::new(),
        Ok(time) => format!("{time:.3}"),
        Err(_) => millis.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use milena::Headers;

    fn written(format: &str, null: Option<&str>) -> String {
        let place = TopicPartition::new("orders", 3);
        let mut headers = Headers::new();
        headers.push("a", "1");
        headers.push_null("b");
        let record = Shown {
            place: &place,
            offset: 42,
            timestamp: 1_771_320_600_250,
            key: None,
            value: Some(b"two \x01stamps"),
            headers: headers.view(),
        };
        let format: RecordFormat = format.parse().unwrap();
        let mut out = Vec::new();
        format.null(null).write(&record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_field_is_written() {
        assert_eq!(written("%t-%p@%o %T", None), "orders-3@42 1771320600250");
        assert_eq!(written("%D", None), "2026-02-17T09:30:00.250Z");
        assert_eq!(written("[%k] %K %V", None), "[] -1 11");
        assert_eq!(written("[%k] %h", Some("NULL")), "[NULL] a=1,b=NULL");
        assert_eq!(written("%H %h{a} [%h{b}]", None), "2 1 []");
        assert_eq!(
            written("%k{json} %v{json}", None),
            "null \"two \\u0001stamps\""
        );
        assert_eq!(written("%v{hex}", None), "74776f20017374616d7073");
    }

    #[test]
    fn a_terminal_gets_nothing_that_it_would_act_on() {
        let place = TopicPartition::new("orders", 3);
        let mut headers = Headers::new();
        headers.push("h", "\u{1b}]0;title\u{7}");
        let record = Shown {
            place: &place,
            offset: 42,
            timestamp: 0,
            key: Some("k\u{202e}".as_bytes()),
            value: Some(b"one\x1b[2J\ntwo\t\xff\xc2\x9b"),
            headers: headers.view(),
        };
        let format: RecordFormat = "%k|%v|%h{h}|%h\\n".parse().unwrap();
        let mut out = Vec::new();
        format.guarded(true).write(&record, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "k\\u{202e}|one\\u{1b}[2J\ntwo\t\\xff\\u{9b}|\\u{1b}]0;title\\u{7}|h=\\x1b]0;title\\x07\n"
        );
        let mut line = b"before ".to_vec();
        let from = line.len();
        line.extend_from_slice("\"a\u{9b}\u{202e}\"\n".as_bytes());
        guard_json(&mut line, from);
        assert_eq!(line, b"before \"a\\u009b\\u202e\"\n");
    }

    #[test]
    fn leap_days_are_dates_too() {
        assert_eq!(date(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(date(1_709_164_800_000), "2024-02-29T00:00:00.000Z");
        assert_eq!(date(-1), "");
    }
}
