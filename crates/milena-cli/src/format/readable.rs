//! The check that a format can be read by, and the records that are read.

use std::borrow::Cow;

use milena::Headers;

use super::{Field, Piece, RecordFormat};

/// A record as the input has it. A field is `None` if the format does not name it. Key and value
/// are also `None` if the input says null.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct InRecord<'a> {
    /// The topic.
    pub(crate) topic: Option<Cow<'a, str>>,
    /// The partition.
    pub(crate) partition: Option<u32>,
    /// The timestamp, in milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    /// The key.
    pub(crate) key: Option<Cow<'a, [u8]>>,
    /// The value.
    pub(crate) value: Option<Cow<'a, [u8]>>,
    /// The headers.
    pub(crate) headers: Option<Headers>,
}

impl RecordFormat {
    /// Returns the bytes, or `None` if they are the text for null.
    pub(super) fn nullable<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match &self.null {
            Some(null) if null == bytes => None,
            _ => Some(Cow::Borrowed(bytes)),
        }
    }

    /// Refuses a format that cannot be read by. Two fields need text between them, and some fields
    /// are only for writing.
    pub(super) fn check_readable(&self) -> Result<(), String> {
        let mut pieces = self.pieces.iter().peekable();
        let (mut key_len, mut value_len) = (false, false);
        while let Some(piece) = pieces.next() {
            let Piece::Field(field) = piece else { continue };
            let known = match field {
                Field::Date | Field::HeaderCount | Field::Header(..) => {
                    return Err("%D, %H and %h{name} can be written, not read".to_owned());
                }
                Field::KeyLength => {
                    key_len = true;
                    false
                }
                Field::ValueLength => {
                    value_len = true;
                    false
                }
                Field::Key(_) => key_len,
                Field::Value(_) => value_len,
                _ => false,
            };
            if !known && matches!(pieces.peek(), Some(Piece::Field(_))) {
                return Err("two fields need text between them, or a length before".to_owned());
            }
        }
        let content = |piece: &Piece| {
            matches!(
                piece,
                Piece::Field(Field::Key(_) | Field::Value(_) | Field::Headers)
            )
        };
        if !self.pieces.iter().any(content) {
            return Err("the format reads neither %k, %v nor %h".to_owned());
        }
        Ok(())
    }
}
