//! SHA-256, SHA-512 and HMAC, as SCRAM and request signing use them.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Creates an HMAC with SHA-256 under `key`.
pub(crate) fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // HMAC hashes a key that is longer than a block, and pads a shorter one. It refuses none.
    Hmac::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

/// Returns HMAC-SHA-256 of `data` under `key`.
pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = hmac(key);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// Returns SHA-256 of `data`.
pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// Returns `bytes` as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
