//! Records read from text by a format.

use std::borrow::Cow;
use std::ops::Range;

use super::readable::InRecord;
use super::{Encoding, Field, Piece, RecordFormat, headers};

/// Cuts input into records.
#[derive(Debug)]
pub(crate) struct Reader {
    /// The format to read by.
    format: RecordFormat,
    /// Input that was fed and not dropped yet. [`feed`](Self::feed) drops the part before `at`.
    buffer: Vec<u8>,
    /// The start of the next record in `buffer`.
    at: usize,
    /// The end of the part of `buffer` that was searched for a delimiter in vain. The next search
    /// begins here.
    searched: usize,
    /// True once no more input comes.
    ended: bool,
    /// The number of the latest record, for error texts. The first is 1.
    number: u64,
    /// The byte that ends a record, if the format is `%v` and one byte. This common case needs no
    /// search for fields.
    delimiter: Option<u8>,
    /// The text that ends a record, if no length decides where it ends.
    end_mark: Option<Vec<u8>>,
    /// The largest size of one record in the input, in bytes.
    most: usize,
}

/// The place of a field in the format, and its bytes in the buffer.
type Span = (usize, Range<usize>);

/// The result of cutting one record.
enum Cut {
    /// The spans of the fields, and the end of the record in the buffer.
    Record(Vec<Span>, usize),
    /// More input is needed.
    Short,
}

impl Reader {
    /// Makes a reader by `format`, of records of at most `most` bytes.
    ///
    /// # Errors
    /// A text if the format cannot be read by. Two fields may have nothing between them, or a field
    /// may only be meant for writing.
    pub(crate) fn new(format: RecordFormat, most: usize) -> Result<Self, String> {
        format.check_readable()?;
        let plain = |piece: &Piece| {
            matches!(
                piece,
                Piece::Literal(_)
                    | Piece::Field(Field::Key(Encoding::Raw) | Field::Value(Encoding::Raw))
            )
        };
        // A JSON escape takes six bytes for one.
        let scale = if format.pieces.iter().all(plain) {
            1
        } else {
            6
        };
        Ok(Self::of(format, most.saturating_mul(scale)))
    }

    /// Makes a reader by a format that is known to be readable.
    pub(super) fn of(format: RecordFormat, most: usize) -> Self {
        let delimiter = match &format.pieces[..] {
            [
                Piece::Field(Field::Value(Encoding::Raw)),
                Piece::Literal(end),
            ] => match end[..] {
                [byte] => Some(byte),
                _ => None,
            },
            _ => None,
        };
        let has_length = format
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Field(Field::KeyLength | Field::ValueLength)));
        let end_mark = match format.pieces.last() {
            Some(Piece::Literal(mark)) if !has_length => Some(mark.clone()),
            _ => None,
        };
        Self {
            format,
            buffer: Vec::new(),
            at: 0,
            searched: 0,
            ended: false,
            number: 0,
            delimiter,
            end_mark,
            most: most.saturating_add(FRAME),
        }
    }

    /// Takes more input.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.searched = self.searched.saturating_sub(self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Tells the reader that no more input comes. The rest of the buffer is the last record, even
    /// without its end mark.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.searched = 0;
    }

    /// Returns true if no more input comes.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Returns the next record, or `None` if more input is needed.
    ///
    /// # Errors
    /// A text that names the record, if the input does not follow the format.
    pub(crate) fn next(&mut self) -> Result<Option<InRecord<'_>>, String> {
        if self.at >= self.buffer.len() {
            return Ok(None);
        }
        let number = self.number + 1;
        let wrong = |what: String| format!("record {number} of the input: {what}");
        if let Some(byte) = self.delimiter {
            let rest = self
                .buffer
                .get(self.searched.max(self.at)..)
                .unwrap_or_default();
            let found = memchr::memchr(byte, rest).map(|at| at + self.searched.max(self.at));
            let (end, next) = match found {
                Some(end) => (end, end + 1),
                None if self.ended => (self.buffer.len(), self.buffer.len()),
                None => {
                    self.searched = self.buffer.len();
                    return self.short();
                }
            };
            let bytes = self.buffer.get(self.at..end).unwrap_or_default();
            (self.at, self.searched, self.number) = (next, next, number);
            return Ok(Some(InRecord {
                value: self.format.nullable(bytes),
                ..InRecord::default()
            }));
        }
        let (limit, ended) = match &self.end_mark {
            None => (self.buffer.len(), self.ended),
            Some(mark) => {
                // The mark ends the record whatever its fields are. A broken record therefore never
                // takes in the next line.
                let from = self.searched.max(self.at);
                let rest = self.buffer.get(from..).unwrap_or_default();
                match memchr::memmem::find(rest, mark) {
                    Some(at) => (from + at + mark.len(), true),
                    None if self.ended => (self.buffer.len(), true),
                    None => {
                        self.searched = (self.buffer.len() + 1).saturating_sub(mark.len());
                        return self.short();
                    }
                }
            }
        };
        match self.cut(limit, ended).map_err(wrong)? {
            Cut::Short => self.short(),
            // A record that takes no bytes would be found again forever.
            Cut::Record(_, end) if end <= self.at => {
                Err(wrong("the format reads no bytes of it".to_owned()))
            }
            Cut::Record(spans, end) => {
                (self.at, self.searched, self.number) = (end, end, number);
                self.record(spans).map(Some).map_err(wrong)
            }
        }
    }

    /// Asks for more input. Fails if the buffer already holds more than one record may have.
    fn short(&self) -> Result<Option<InRecord<'_>>, String> {
        match self.buffer.len() - self.at > self.most {
            false => Ok(None),
            true => Err(format!(
                "record {} of the input does not end within {} bytes, more than a record may have; --max-request-size raises that",
                self.number + 1,
                self.most
            )),
        }
    }

    /// Finds the fields of the next record in the buffer up to `limit`. `ended` is true if the
    /// record cannot reach beyond `limit`.
    fn cut(&self, limit: usize, ended: bool) -> Result<Cut, String> {
        let mut at = self.at;
        let mut spans = Vec::new();
        let (mut key_len, mut value_len) = (None, None);
        let mut pieces = self.format.pieces.iter().enumerate().peekable();
        while let Some((index, piece)) = pieces.next() {
            let rest = self.buffer.get(at..limit).unwrap_or_default();
            let field = match piece {
                Piece::Literal(text) if rest.starts_with(text) => {
                    at += text.len();
                    continue;
                }
                Piece::Literal(text) if text.starts_with(rest) => {
                    // The last record of the input may lack its end.
                    match ended && pieces.peek().is_none() {
                        true => return Ok(Cut::Record(spans, limit)),
                        false if ended => return Err(expected(text)),
                        false => return Ok(Cut::Short),
                    }
                }
                Piece::Literal(text) => return Err(expected(text)),
                Piece::Field(field) => field,
            };
            let known = match field {
                Field::Key(_) => key_len.take(),
                Field::Value(_) => value_len.take(),
                _ => None,
            };
            let len = match (known, pieces.peek()) {
                // The length says null, so the input holds no bytes of this field.
                (Some(None), _) => continue,
                (Some(Some(len)), _) if len <= rest.len() => len,
                (Some(Some(_)), _) if ended => {
                    return Err("it is cut short by the end of the input".to_owned());
                }
                (Some(Some(_)), _) => return Ok(Cut::Short),
                (None, Some((_, Piece::Literal(end)))) => match memchr::memmem::find(rest, end) {
                    Some(len) => len,
                    None if !ended => return Ok(Cut::Short),
                    None if index + 2 == self.format.pieces.len() => rest.len(),
                    None => return Err(expected(end)),
                },
                (None, _) if ended => rest.len(),
                (None, _) => return Ok(Cut::Short),
            };
            let span = at..at + len;
            match field {
                Field::KeyLength => key_len = Some(self.length(&span)?),
                Field::ValueLength => value_len = Some(self.length(&span)?),
                _ => spans.push((index, span.clone())),
            }
            at = span.end;
        }
        Ok(Cut::Record(spans, at))
    }

    /// Returns the text of a span.
    fn text(&self, span: &Range<usize>) -> Result<&str, String> {
        let bytes = self.buffer.get(span.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| "a number or a name is not UTF-8".to_owned())
    }

    /// Reads a length. Returns `None` for -1, which means null.
    fn length(&self, span: &Range<usize>) -> Result<Option<usize>, String> {
        let text = self.text(span)?;
        match text {
            "-1" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| format!("'{text}' is not a length")),
        }
    }

    /// Makes a record of its fields.
    fn record(&self, spans: Vec<Span>) -> Result<InRecord<'_>, String> {
        let mut record = InRecord::default();
        for (index, span) in spans {
            let bytes = self.buffer.get(span.clone()).unwrap_or_default();
            match self.format.pieces.get(index) {
                Some(Piece::Field(Field::Topic)) => {
                    record.topic = Some(Cow::Borrowed(self.text(&span)?));
                }
                Some(Piece::Field(Field::Partition)) => {
                    let text = self.text(&span)?;
                    let number = text
                        .parse()
                        .map_err(|_| format!("'{text}' is not a partition number"));
                    record.partition = Some(number?);
                }
                Some(Piece::Field(Field::Timestamp)) => {
                    let text = self.text(&span)?;
                    let number: i64 = text
                        .parse()
                        .map_err(|_| format!("'{text}' is not a timestamp"))?;
                    record.timestamp = Some(number).filter(|number| *number >= 0);
                }
                Some(Piece::Field(Field::Key(encoding))) => {
                    record.key = self.decoded(bytes, *encoding)?;
                }
                Some(Piece::Field(Field::Value(encoding))) => {
                    record.value = self.decoded(bytes, *encoding)?;
                }
                Some(Piece::Field(Field::Headers)) => {
                    record.headers = Some(headers::read(bytes, self.format.null.as_deref())?);
                }
                _ => {}
            }
        }
        Ok(record)
    }

    /// Decodes a key or a value. Returns `None` for null.
    fn decoded<'a>(
        &self,
        bytes: &'a [u8],
        encoding: Encoding,
    ) -> Result<Option<Cow<'a, [u8]>>, String> {
        if encoding == Encoding::Json && bytes == b"null" {
            return Ok(None);
        }
        match self.format.nullable(bytes) {
            None => Ok(None),
            Some(_) => encoding.read(bytes).map(Some),
        }
    }
}

/// The bytes that a record may take besides its key and value, for the text between fields, lengths
/// and the topic.
const FRAME: usize = 64 << 10;

fn expected(text: &[u8]) -> String {
    format!("'{}' was expected", text.escape_ascii())
}

#[cfg(test)]
mod tests;
