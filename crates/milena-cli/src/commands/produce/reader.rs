//! The records of the input, in text or JSON.

use crate::format::{InRecord, JsonLines, Reader};

/// Cuts input into records.
#[derive(Debug)]
pub(super) enum Input {
    /// Records by a format.
    Text(Reader),
    /// One JSON object per line.
    Json(JsonLines),
}

impl Input {
    /// Takes more input.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.lines().feed(bytes);
    }

    /// Tells the reader that no more input comes.
    pub(super) fn end(&mut self) {
        self.lines().end();
    }

    /// Returns true if no more input comes.
    pub(super) fn is_ended(&mut self) -> bool {
        self.lines().is_ended()
    }

    /// Returns the next record, or `None` if more input is needed.
    ///
    /// # Errors
    /// A text that names the record, if the input does not follow its form.
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
