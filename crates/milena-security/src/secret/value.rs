//! The bytes of a secret, which no text shows and which are wiped when they are dropped.

use std::fmt;
use std::sync::{Arc, LazyLock};

use hmac::{Hmac, Mac};
use milena_core::{Error, ErrorKind, Result};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes or text that must not be shown, such as a password, a token or a private key.
///
/// It has no `Display`, and `Debug` writes a placeholder without even the length. The bytes are
/// wiped when the last clone is dropped. Two secrets compare in constant time.
///
/// ```
/// use milena_security::Secret;
///
/// let password = Secret::from("alice-secret");
/// assert_eq!(format!("{password:?}"), "Secret(***)");
/// assert_eq!(password, Secret::from(b"alice-secret".to_vec()));
/// assert_eq!(password.text()?, "alice-secret");
/// # Ok::<(), milena_core::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// Creates a secret from `bytes`, which are moved and not copied.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// Returns the bytes. The name marks each place that reads a secret.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Returns the secret as text.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the bytes are no UTF-8. The error does not show them.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.0).map_err(|_| {
            Error::new(
                ErrorKind::Config,
                "the secret is not UTF-8 text: write it as text, without a byte order mark",
            )
        })
    }

    /// Returns true if the secret has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns an identity of the secret that tells two secrets of this process apart and reveals
    /// neither.
    #[must_use]
    pub fn id(&self) -> CredentialId {
        CredentialId::of(&[self.expose()])
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// An identity of a credential. A client compares two of them to learn if a provider returned
/// another credential than the one that was refused.
///
/// It is an HMAC under a key that is drawn once per process, so it reveals nothing and means
/// nothing to another process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CredentialId([u8; 32]);

impl CredentialId {
    /// Returns the identity of a credential with these parts.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut mac = KEY.clone();
        for part in parts {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        Self(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialId")
    }
}

/// The key of all identities, drawn when the first one is made.
static KEY: LazyLock<Hmac<Sha256>> = LazyLock::new(|| {
    let mut key = Zeroizing::new([0; 32]);
    // Without random bytes from the system the key is constant. Identities still tell two
    // credentials apart, and they never leave the process.
    let _ = getrandom::fill(&mut key[..]);
    crate::digest::hmac(&key[..])
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_shows_a_secret() {
        let secret = Secret::from("hunter2");
        for shown in [format!("{secret:?}"), format!("{secret:#?}")] {
            assert_eq!(shown, "Secret(***)");
        }
        assert!(!format!("{:?}", secret.id()).contains("hunter2"));
    }

    #[test]
    fn secrets_compare_by_content() {
        assert_eq!(Secret::from("a"), Secret::from(String::from("a")));
        assert_ne!(Secret::from("a"), Secret::from("ab"));
        assert_eq!(Secret::from("a").id(), Secret::from("a").id());
        assert_ne!(Secret::from("a").id(), Secret::from("b").id());
        assert_ne!(
            CredentialId::of(&[b"ab", b"c"]),
            CredentialId::of(&[b"a", b"bc"])
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_without_showing_them() {
        let error = Secret::new(vec![0xff, b'x']).text().unwrap_err();
        assert!(!error.to_string().contains("255"), "{error}");
    }
}
