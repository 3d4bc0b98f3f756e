//! Random texts that make each SCRAM exchange unique.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use milena_core::{Error, ErrorKind, Result};

/// Draws a nonce of 24 random bytes, as 32 printable characters without a comma.
pub(crate) fn draw() -> Result<String> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = "the system gives no random bytes, which SCRAM needs";
        Error::new(ErrorKind::Security, text).with_source(error)
    })?;
    Ok(STANDARD_NO_PAD.encode(bytes))
}

/// Returns true if a nonce has only the characters that SCRAM allows, and at least one.
pub(crate) fn is_nonce(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b',')
}
