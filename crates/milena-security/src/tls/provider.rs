//! The cryptography that rustls uses, always named and never the default of the process.

use std::sync::Arc;

use milena_core::Result;
use rustls::crypto::CryptoProvider;

/// Returns aws-lc-rs if the feature is on, and else ring.
///
/// The default of the process is never asked. A program with both in its tree has none, and rustls
/// would panic.
#[cfg(feature = "aws-lc-rs")]
pub(crate) fn provider() -> Result<Arc<CryptoProvider>> {
    Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

/// Returns ring, since aws-lc-rs is off.
#[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
pub(crate) fn provider() -> Result<Arc<CryptoProvider>> {
    Ok(Arc::new(rustls::crypto::ring::default_provider()))
}

/// Refuses, since no provider is built in.
#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
pub(crate) fn provider() -> Result<Arc<CryptoProvider>> {
    let text = "this program has no cryptography for TLS: build milena-security with the feature \
                ring or aws-lc-rs, or pass a provider";
    Err(milena_core::Error::new(
        milena_core::ErrorKind::Unsupported,
        text,
    ))
}
