//! The format of records, as printf has it: one for writing them out and for reading them in.
//!
//! | Verb | Means |
//! |---|---|
//! | `%t` `%p` `%o` | topic, partition, offset |
//! | `%T` `%D` | timestamp in milliseconds since 1970; the same as a date (writing only) |
//! | `%k` `%v` (or `%s`) | key, value |
//! | `%K` `%V` (or `%S`) | length of key, of value; -1 where it is null |
//! | `%h` `%H` | headers as `name=value,name=value`; how many there are (writing only) |
//! | `%h{name}` | the value of the last header of that name (writing only) |
//! | `%%` `\n` `\r` `\t` `\0` `\\` `\xHH` | a percent sign, control characters, any byte |
//!
//! `%k`, `%v` and `%h{name}` take an encoding: `%k{hex}`, `%v{base64}`, `%v{json}` (a JSON string, `null`, or `{"base64":"..."}` for bytes
//! that are no text). In `%h`, `\` stands before a comma, a backslash and the `=` of a name, and control characters are escaped, so that
//! every list of headers is read back as it was. When reading, a field ends where the text that follows it begins; `%K` and `%V` before `%k` and `%v` tell their length, so that they may hold any
//! byte, and -1 for null: `%K %V %k%v\n` carries every key and value unchanged.

mod encoding;
mod headers;
mod json_lines;
mod parse;
mod read;
mod readable;
mod write;

use encoding::Encoding;
pub(crate) use headers::push as push_header;
pub(crate) use json_lines::JsonLines;
pub(crate) use read::Reader;
pub(crate) use readable::InRecord;
pub(crate) use write::{Shown, date, guard_json, json_line};

/// A format, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordFormat {
    pieces: Vec<Piece>,
    /// How a null key or value is written, and what is read as one.
    null: Option<Vec<u8>>,
    /// Whether bytes of records that a terminal would act on are written as escapes.
    guarded: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Field(Field),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Date,
    Key(Encoding),
    Value(Encoding),
    KeyLength,
    ValueLength,
    Headers,
    HeaderCount,
    Header(String, Encoding),
}

impl RecordFormat {
    /// A key, `separator` with the escapes of a format, a value, a line each.
    pub(crate) fn key_value(separator: &str) -> Result<Self, String> {
        format!("%k{}%v\\n", separator.replace('%', "%%")).parse()
    }

    /// Nulls are written as `null`, and `null` is read as one.
    pub(crate) fn null(mut self, null: Option<&str>) -> Self {
        self.null = null.map(|text| text.as_bytes().to_vec());
        self
    }

    /// What records hold is written so that a terminal does nothing but show it.
    pub(crate) fn guarded(mut self, guarded: bool) -> Self {
        self.guarded = guarded;
        self
    }
}
