//! Formats a letter as a line of JSON. Pure.

use std::io::{Result, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use milena_core::{Offset, Partition, Timestamp};
use milena_middleware::dead_letter::Letter;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

use super::found::FoundLetter;

/// Returns the letter as one line, with its line end.
///
/// # Errors
/// An error if the letter cannot be written as JSON. No letter is known for which that happens.
pub(super) fn line(found: &FoundLetter) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut json = serde_json::Serializer::with_formatter(&mut line, OneForm);
    LetterLine::new(found).serialize(&mut json)?;
    line.push(b'\n');
    Ok(line)
}

/// A letter, with the fields of its line in their order.
#[derive(Serialize)]
struct LetterLine<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    letter: Option<LetterOrigin<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    same_record_as: Option<String>,
    key: Option<RecordBytes<'a>>,
    value: Option<RecordBytes<'a>>,
    headers: Vec<(RecordBytes<'a>, Option<RecordBytes<'a>>)>,
}

/// The origin and the cause that a letter names.
#[derive(Serialize)]
struct LetterOrigin<'a> {
    dialect: &'a str,
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dependency: Option<&'a str>,
    deaths: u64,
    replays: u64,
}

/// Bytes of a record. Bytes in UTF-8 are a text, others an object.
#[derive(Serialize)]
#[serde(untagged)]
enum RecordBytes<'a> {
    Text(&'a str),
    Bytes { base64: String },
}

impl<'a> LetterLine<'a> {
    fn new(found: &'a FoundLetter) -> Self {
        let record = &found.record;
        let headers = record.headers.iter();
        Self {
            topic: &record.topic,
            partition: record.partition.to_wire(),
            offset: record.offset.to_wire(),
            timestamp: record.timestamp.map(Timestamp::to_millis),
            letter: found.letter.as_ref().map(LetterOrigin::new),
            same_record_as: found
                .same_as
                .map(|(partition, offset)| format!("{partition}@{offset}")),
            key: record.key.as_deref().map(RecordBytes::new),
            value: record.value.as_deref().map(RecordBytes::new),
            headers: headers
                .map(|header| {
                    (
                        RecordBytes::new(header.key),
                        header.value.map(RecordBytes::new),
                    )
                })
                .collect(),
        }
    }
}

impl<'a> LetterOrigin<'a> {
    fn new(letter: &'a Letter) -> Self {
        Self {
            dialect: letter.dialect.name(),
            topic: &letter.topic,
            partition: letter.partition.map(Partition::to_wire),
            offset: letter.offset.map(Offset::to_wire),
            timestamp: letter.timestamp.map(Timestamp::to_millis),
            attempts: letter.attempts,
            group: letter.group.as_deref(),
            class: letter.class.as_deref(),
            message: letter.message.as_deref(),
            dependency: letter.dependency.as_deref(),
            deaths: letter.deaths,
            replays: letter.replays,
        }
    }
}

impl<'a> RecordBytes<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(_) => Self::Bytes {
                base64: STANDARD.encode(bytes),
            },
        }
    }
}

/// JSON without blanks, in which a control character has one form in all releases.
///
/// `serde_json` writes a backspace as `\b` and a form feed as `\f`. Exports have had them as
/// `\u0008` and `\u000c`, and keep them so, since lines of two exports are compared as texts.
struct OneForm;

impl Formatter for OneForm {
    fn write_char_escape<W>(&mut self, writer: &mut W, escape: CharEscape) -> Result<()>
    where
        W: ?Sized + Write,
    {
        let code = match escape {
            CharEscape::Backspace => 0x08,
            CharEscape::FormFeed => 0x0c,
            other => return CompactFormatter.write_char_escape(writer, other),
        };
        write!(writer, "\\u{code:04x}")
    }
}

#[cfg(test)]
mod tests {
    use milena_core::ConsumerRecord;

    use super::*;

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        for (raw, encoded) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0xfb, 0xff, 0xfe], "+//+"),
        ] {
            assert_eq!(STANDARD.encode(raw), encoded);
        }
    }

    fn shown(found: &FoundLetter) -> String {
        let line = String::from_utf8(line(found).unwrap()).unwrap();
        line.strip_suffix('\n').unwrap().to_owned()
    }

    #[test]
    fn control_characters_are_escaped_and_other_characters_are_not() {
        let mut record = ConsumerRecord::new("dead", 1, 5);
        record.value = Some("\u{0}\u{8}\t\n\u{b}\u{c}\r\u{1f} \"\\/\u{7f}é\u{2028}🦀".into());
        assert_eq!(
            shown(&FoundLetter::new(record)),
            concat!(
                r#"{"topic":"dead","partition":1,"offset":5,"key":null,"value":""#,
                r#"\u0000\u0008\t\n\u000b\u000c\r\u001f \"\\/"#,
                "\u{7f}é\u{2028}🦀",
                r#"","headers":[]}"#
            )
        );
    }

    #[test]
    fn what_a_letter_names_is_in_its_line() {
        let mut record = ConsumerRecord::new("dead", 1, 5);
        record.timestamp = Some(Timestamp::from_millis(1_700_000_000_000));
        record.headers.push("milena.origin.topic", "orders");
        record.headers.push("milena.origin.partition", "3");
        let mut found = FoundLetter::new(record);
        found.same_as = Some((Partition::from(1), Offset::from(2)));
        let letter = found.letter.as_mut().unwrap();
        letter.offset = Some(Offset::from(70));
        letter.timestamp = Some(Timestamp::from_millis(-1));
        letter.attempts = Some(4);
        letter.group = Some("billing".to_owned());
        letter.class = Some("timeout".to_owned());
        letter.message = Some("no \"answer\"".to_owned());
        letter.dependency = Some("warehouse".to_owned());
        letter.deaths = 2;
        assert_eq!(
            shown(&found),
            concat!(
                r#"{"topic":"dead","partition":1,"offset":5,"timestamp":1700000000000,"#,
                r#""letter":{"dialect":"milena","topic":"orders","partition":3,"offset":70,"#,
                r#""timestamp":-1,"attempts":4,"group":"billing","class":"timeout","#,
                r#""message":"no \"answer\"","dependency":"warehouse","deaths":2,"replays":0},"#,
                r#""same_record_as":"1@2","key":null,"value":null,"#,
                r#""headers":[["milena.origin.topic","orders"],["milena.origin.partition","3"]]}"#
            )
        );
    }

    #[test]
    fn a_letter_is_one_line_of_json() {
        let mut record = ConsumerRecord::new("dead", 1, 5);
        record.key = Some("say \"hi\"\n".into());
        record.value = Some(vec![0xff].into());
        record.headers.push("milena.origin.topic", "orders");
        record.headers.push_null("gone");
        assert_eq!(
            shown(&FoundLetter::new(record)),
            concat!(
                r#"{"topic":"dead","partition":1,"offset":5,"#,
                r#""letter":{"dialect":"milena","topic":"orders","deaths":1,"replays":0},"#,
                r#""key":"say \"hi\"\n","value":{"base64":"/w=="},"#,
                r#""headers":[["milena.origin.topic","orders"],["gone",null]]}"#
            )
        );
    }
}
