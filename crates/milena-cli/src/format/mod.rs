//! The printf-like format of records, for writing and for reading them.
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
//! `%k`, `%v` and `%h{name}` take an encoding, as in `%k{hex}`, `%v{base64}` and `%v{json}`. The
//! last one is a JSON string, `null`, or `{"base64":"..."}` for bytes that are not text. In `%h`,
//! `\` stands before a comma, a backslash and the `=` of a name, and control characters are
//! escaped. Every list of headers is therefore read back as it was.
//!
//! When reading, a field ends at the text that follows it in the format. `%K` and `%V` before `%k`
//! and `%v` give their length, so that the fields may hold any byte, and -1 for null.
//! `%K %V %k%v\n` carries every key and value unchanged.

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

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordFormat {
    /// The fields and the text between them, in order.
    pieces: Vec<Piece>,
    /// The text of a null key or value, for writing and for reading. `None` writes nothing, and
    /// reads no null.
    null: Option<Vec<u8>>,
    /// True if bytes of records that a terminal would act on are written as escapes.
    guarded: bool,
}

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Text that stands as it is between the fields.
    Literal(Vec<u8>),
    Field(Field),
}

/// A field of a record.
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
    /// Makes a format of one line per record, with `separator` between key and value. Escapes of
    /// formats work in `separator`.
    pub(crate) fn key_value(separator: &str) -> Result<Self, String> {
        format!("%k{}%v\\n", separator.replace('%', "%%")).parse()
    }

    /// Sets the text for null. By default null is written as nothing, and never read.
    pub(crate) fn null(mut self, null: Option<&str>) -> Self {
        self.null = null.map(|text| text.as_bytes().to_vec());
        self
    }

    /// Sets whether control characters are escaped, so that a terminal only shows them.
    pub(crate) fn guarded(mut self, guarded: bool) -> Self {
        self.guarded = guarded;
        self
    }
}
