//! Formats a letter as a line of JSON. Pure.

use std::fmt::Write;

use milena_middleware::dead_letter::Letter;

use super::found::FoundLetter;

/// Returns the letter as one line, without a line end.
pub(super) fn line(found: &FoundLetter) -> String {
    let record = &found.record;
    let mut line = Object::new();
    line.text("topic", &record.topic);
    line.number("partition", record.partition.to_wire().into());
    line.number("offset", record.offset.to_wire());
    if let Some(timestamp) = record.timestamp {
        line.number("timestamp", timestamp.to_millis());
    }
    if let Some(letter) = &found.letter {
        line.raw("letter", &about(letter));
    }
    if let Some((partition, offset)) = found.same_as {
        line.text("same_record_as", &format!("{partition}@{offset}"));
    }
    line.raw("key", &bytes(record.key.as_deref()));
    line.raw("value", &bytes(record.value.as_deref()));
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|header| {
            let (name, value) = (bytes(Some(header.key)), bytes(header.value));
            format!("[{name},{value}]")
        })
        .collect();
    line.raw("headers", &format!("[{}]", headers.join(",")));
    line.end()
}

fn about(letter: &Letter) -> String {
    let mut about = Object::new();
    about.text("dialect", letter.dialect.name());
    about.text("topic", &letter.topic);
    let numbers = [
        (
            "partition",
            letter.partition.map(|n| i64::from(n.to_wire())),
        ),
        ("offset", letter.offset.map(milena_core::Offset::to_wire)),
        (
            "timestamp",
            letter.timestamp.map(milena_core::Timestamp::to_millis),
        ),
        ("attempts", letter.attempts.map(i64::from)),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            about.number(name, number);
        }
    }
    let texts = [
        ("group", &letter.group),
        ("class", &letter.class),
        ("message", &letter.message),
        ("dependency", &letter.dependency),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            about.text(name, text);
        }
    }
    about.number("deaths", letter.deaths.try_into().unwrap_or(i64::MAX));
    about.number("replays", letter.replays.try_into().unwrap_or(i64::MAX));
    about.end()
}

struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn raw(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        let _ = write!(self.0, "{}:{value}", text(name));
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &text(value));
    }

    fn number(&mut self, name: &str, value: i64) {
        self.raw(name, &value.to_string());
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn bytes(bytes: Option<&[u8]>) -> String {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => "null".to_owned(),
        Some((_, Ok(utf8))) => text(utf8),
        Some((bytes, Err(_))) => format!("{{\"base64\":\"{}\"}}", base64(bytes)),
    }
}

fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = at(0) << 16 | at(1) << 8 | at(2);
        for index in 0..4 {
            let digit = (group >> (18 - 6 * index)) & 63;
            out.push(match (index > chunk.len(), digit) {
                (true, _) => '=',
                (_, 0..26) => char::from(b'A' + digit as u8),
                (_, 26..52) => char::from(b'a' + (digit - 26) as u8),
                (_, 52..62) => char::from(b'0' + (digit - 52) as u8),
                (_, 62) => '+',
                _ => '/',
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use milena_core::{ConsumerRecord, Offset, Partition, Timestamp};

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
            assert_eq!(base64(raw), encoded);
        }
    }

    fn shown(found: &FoundLetter) -> String {
        line(found)
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
