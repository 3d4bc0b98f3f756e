//! The kind of an error as the value of a label.

use milena_core::{Error, ErrorKind};

/// Returns an error's kind as a label value. The values are few and fixed, so a broker cannot
/// invent new ones.
pub(crate) fn kind(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Broker(code) => code.name().unwrap_or("unknown_code"),
        ErrorKind::Transport => "transport",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Config => "config",
        ErrorKind::Decode => "decode",
        ErrorKind::Closed => "closed",
        ErrorKind::Fenced => "fenced",
        ErrorKind::RecordTooLarge => "record_too_large",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Security => "security",
        ErrorKind::State => "state",
        _ => "other",
    }
}
