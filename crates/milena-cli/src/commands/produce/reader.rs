//! The records of the input, in either form.

use crate::format::{InRecord, JsonLines, Reader};

/// Cuts input into records.
#[derive(Debug)]
pub(super) enum Input {
    /// By a format.
    Text(Reader),
    /// A JSON object a line.
    Json(JsonLines),
}

impl Input {
    /// Takes more input.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.lines().feed(bytes);
    }

    /// No more input comes.
    pub(super) fn end(&mut self) {
        self.lines().end();
    }

    /// Whether no more input comes.
    pub(super) fn is_ended(&mut self) -> bool {
        self.lines().is_ended()
    }

    /// The next record; `None` where more input is needed.
    ///
    /// # Errors
    /// Where the input is not as it should be; it names the record.
    pub(super) fn next(&mut self) -> Result<Option<InRecord<'_>>, String> {
        match self {
            Self::Text(reader) => reader.next(),
            Self::Json(lines) => lines.next(),
        }
    }

    fn lines(&mut self) -> &mut Reader {
        match self {
            Self::Text(reader) => reader,
            Self::Json(lines) => &mut lines.lines,
        }
    }
}
