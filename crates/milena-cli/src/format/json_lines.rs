//! Records as lines of JSON. They can be read back in the form in which they are written.

use std::borrow::Cow;

use milena::Headers;
use serde_json::{Map, Value};

use super::encoding::Encoding;
use super::{InRecord, Reader, RecordFormat};

/// Reads records from lines of JSON. Takes key, value, headers and timestamp. Topic, partition and
/// offset only tell where a record came from and are dropped.
#[derive(Debug)]
pub(crate) struct JsonLines {
    /// The lines of the input.
    pub(crate) lines: Reader,
    /// The number of the latest line, for error texts. The first is 1.
    number: u64,
}

impl JsonLines {
    /// Makes a reader of records of at most `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        // Base64 takes a third more bytes, and a JSON escape takes six bytes for one.
        let lines = Reader::lines(most.saturating_mul(6));
        Self { lines, number: 0 }
    }

    /// Returns the next record, or `None` if more input is needed.
    ///
    /// # Errors
    /// A text that names the line, if it is not such an object.
    pub(crate) fn next(&mut self) -> Result<Option<InRecord<'static>>, String> {
        loop {
            let Some(line) = self.lines.next()? else {
                return Ok(None);
            };
            self.number += 1;
            let line = line.value.unwrap_or_default();
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let number = self.number;
            let record = record(&line);
            return record
                .map(Some)
                .map_err(|what| format!("line {number} of the input: {what}"));
        }
    }
}

/// Reads one line as a record.
fn record(line: &[u8]) -> Result<InRecord<'static>, String> {
    let value: Value =
        serde_json::from_slice(line).map_err(|error| format!("it is not JSON: {error}"))?;
    let Value::Object(mut object) = value else {
        return Err("it is not a JSON object".to_owned());
    };
    let mut record = InRecord {
        key: bytes(&mut object, "key")?.flatten().map(Cow::Owned),
        // A value that was left out by mistake must not become a tombstone.
        value: bytes(&mut object, "value")?
            .ok_or(
                "it has neither value nor value_base64; a null value is written \"value\": null",
            )?
            .map(Cow::Owned),
        ..InRecord::default()
    };
    match object.remove("timestamp") {
        None | Some(Value::Null) => {}
        Some(time) => {
            let millis = time.as_i64();
            let millis = millis.ok_or("its timestamp is not a number of milliseconds")?;
            record.timestamp = Some(millis).filter(|millis| *millis >= 0);
        }
    }
    match object.remove("headers") {
        None | Some(Value::Null) => {}
        Some(Value::Array(each)) => {
            let headers: Result<Headers, String> =
                each.into_iter()
                    .try_fold(Headers::new(), |mut headers, header| {
                        push(&mut headers, header)?;
                        Ok(headers)
                    });
            record.headers = Some(headers?);
        }
        Some(_) => return Err("its headers are not an array".to_owned()),
    }
    for origin in ["topic", "partition", "offset"] {
        object.remove(origin);
    }
    match object.keys().next() {
        Some(unknown) => Err(format!("'{unknown}' is not a field of a record")),
        None => Ok(record),
    }
}

/// Adds one header of the array.
fn push(headers: &mut Headers, header: Value) -> Result<(), String> {
    let Value::Object(mut object) = header else {
        return Err("a header is not an object".to_owned());
    };
    let name = bytes(&mut object, "name")?.flatten();
    let name = name.ok_or("a header has no name")?;
    match bytes(&mut object, "value")?.flatten() {
        Some(value) => headers.push(name, value),
        None => headers.push_null(name),
    }
    match object.keys().next() {
        Some(unknown) => Err(format!("'{unknown}' is not a field of a header")),
        None => Ok(()),
    }
}

/// Returns the bytes under `name` or `name_base64`. Returns `None` if neither is there, and
/// `Some(None)` for null.
fn bytes(object: &mut Map<String, Value>, name: &str) -> Result<Option<Option<Vec<u8>>>, String> {
    let encoded = format!("{name}_base64");
    match (object.remove(name), object.remove(&encoded)) {
        (None, None) => Ok(None),
        (Some(Value::Null), None) => Ok(Some(None)),
        (Some(Value::String(text)), None) => Ok(Some(Some(text.into_bytes()))),
        (None, Some(Value::String(text))) => {
            let bytes = Encoding::Base64.read(text.as_bytes());
            let bytes = bytes.map_err(|what| format!("its {encoded} is {what}"))?;
            Ok(Some(Some(bytes.into_owned())))
        }
        (Some(_), Some(_)) => Err(format!("it has both {name} and {encoded}")),
        (Some(_), None) => Err(format!("its {name} is neither a string nor null")),
        (None, Some(_)) => Err(format!("its {encoded} is not a string")),
    }
}

impl Reader {
    /// Makes a reader of lines of at most `most` bytes.
    fn lines(most: usize) -> Self {
        let format = RecordFormat {
            pieces: vec![
                super::Piece::Field(super::Field::Value(Encoding::Raw)),
                super::Piece::Literal(b"\n".to_vec()),
            ],
            null: None,
            guarded: false,
        };
        Self::of(format, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Shown, json_line};
    use milena::TopicPartition;

    #[test]
    fn what_is_written_as_json_is_read_back_byte_for_byte() {
        let place = TopicPartition::new("orders", 3);
        let mut headers = Headers::new();
        headers.push("a", "1");
        headers.push_null("a");
        headers.push(b"\xff\xfe".to_vec(), b"\x00\xff".to_vec());
        headers.push("e", "");
        for (key, value) in [
            (Some(&b"key"[..]), Some(&b"two \x01\nstamps"[..])),
            (None, None),
            (Some(b""), Some(b"")),
            (Some(b"\xff"), Some(b"\x00\xff\x80\xfe")),
        ] {
            let shown = Shown {
                place: &place,
                offset: 42,
                timestamp: 1_771_320_600_250,
                key,
                value,
                headers: headers.view(),
            };
            let mut line = Vec::new();
            json_line(&shown, &mut line);
            let read = record(&line).unwrap();
            assert_eq!(read.key.as_deref(), key);
            assert_eq!(read.value.as_deref(), value);
            assert_eq!(read.timestamp, Some(1_771_320_600_250));
            assert_eq!(read.headers.unwrap(), headers);
        }
    }

    #[test]
    fn what_is_no_record_is_refused_with_words() {
        for (line, named) in [
            ("[]", "object"),
            ("{", "JSON"),
            ("{\"key\":\"a\"}", "neither value"),
            ("{\"value\":1}", "neither a string nor null"),
            ("{\"value\":\"a\",\"value_base64\":\"YQ==\"}", "both"),
            ("{\"value_base64\":\"!\"}", "base64"),
            ("{\"value\":\"a\",\"vlaue\":\"b\"}", "vlaue"),
            (
                "{\"value\":\"a\",\"headers\":[{\"value\":\"b\"}]}",
                "no name",
            ),
        ] {
            let error = record(line.as_bytes()).unwrap_err();
            assert!(error.contains(named), "{line}: {error}");
        }
    }
}
