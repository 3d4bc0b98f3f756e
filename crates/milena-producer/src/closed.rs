//! The error of a producer that accepts no more records.

use milena_core::{Error, ErrorKind};

/// Returns an error of kind `Closed`.
pub(crate) fn closed(what: &'static str) -> Error {
    Error::new(ErrorKind::Closed, what)
}
