//! Records, read in by a format.

use std::borrow::Cow;
use std::ops::Range;

use super::readable::InRecord;
use super::{Encoding, Field, Piece, RecordFormat, headers};

/// Cuts input into records.
#[derive(Debug)]
pub(crate) struct Reader {
    format: RecordFormat,
    buffer: Vec<u8>,
    at: usize,
    /// How far the buffer was searched for the end of a field that is not there yet.
    searched: usize,
    ended: bool,
    number: u64,
    /// `%v` and one byte: the plain case.
    delimiter: Option<u8>,
    /// What ends a record, where no length tells that.
    end_mark: Option<Vec<u8>>,
    /// The most bytes that a record may take in the input.
    most: usize,
}

/// A field of the record at hand, in the buffer.
type Span = (usize, Range<usize>);

enum Cut {
    /// The spans of the fields, and where the record ends.
    Record(Vec<Span>, usize),
    /// More input is needed.
    Short,
}

impl Reader {
    /// A reader by `format`, of records of at most `most` bytes.
    ///
    /// # Errors
    /// Where the format cannot be read by: two fields with nothing between, or one that only makes sense written.
    pub(crate) fn new(format: RecordFormat, most: usize) -> Result<Self, String> {
        format.check_readable()?;
        let plain = |piece: &Piece| {
            matches!(
                piece,
                Piece::Literal(_)
                    | Piece::Field(Field::Key(Encoding::Raw) | Field::Value(Encoding::Raw))
            )
        };
        // An escape of JSON takes six bytes for one.
        let scale = if format.pieces.iter().all(plain) {
            1
        } else {
            6
        };
        Ok(Self::of(format, most.saturating_mul(scale)))
    }

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

    /// No more input comes: what is there is the last record, also without what ends one.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.searched = 0;
    }

    /// Whether no more input comes.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// The next record; `None` where more input is needed.
    ///
    /// # Errors
    /// Where the input is not as the format says; it names the record.
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
                // A record ends at the mark whatever its fields are: the next line is never part of this one.
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
            // Else it would be found again and again.
            Cut::Record(_, end) if end <= self.at => {
                Err(wrong("the format takes nothing of it".to_owned()))
            }
            Cut::Record(spans, end) => {
                (self.at, self.searched, self.number) = (end, end, number);
                self.record(spans).map(Some).map_err(wrong)
            }
        }
    }

    /// More input is needed, unless there is more of it already than a record may have.
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

    /// Finds the fields of the record at hand.
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
                    // The last record may lack what ends it.
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
                // Null: there is nothing of it in the input.
                (Some(None), _) => continue,
                (Some(Some(len)), _) if len <= rest.len() => len,
                (Some(Some(_)), _) if ended => return Err("it is cut short".to_owned()),
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

    fn text(&self, span: &Range<usize>) -> Result<&str, String> {
        let bytes = self.buffer.get(span.clone()).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| "a number or a name is not text".to_owned())
    }

    /// A length; `None` for -1, which is null.
    fn length(&self, span: &Range<usize>) -> Result<Option<usize>, String> {
        let text = self.text(span)?;
        match text {
            "-1" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| format!("'{text}' is no length")),
        }
    }

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
                        .map_err(|_| format!("'{text}' is no partition"));
                    record.partition = Some(number?);
                }
                Some(Piece::Field(Field::Timestamp)) => {
                    let text = self.text(&span)?;
                    let number: i64 = text
                        .parse()
                        .map_err(|_| format!("'{text}' is no timestamp"))?;
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

/// What a record may take beside its key and value: what stands between them, lengths, a topic's name.
const FRAME: usize = 64 << 10;

fn expected(text: &[u8]) -> String {
    format!("'{}' was expected", text.escape_ascii())
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
