//! The keys by which a broker checks a SCRAM proof. They do not reveal the password.

use std::fmt;

use milena_core::{Error, ErrorKind, Result};

use super::hash::{ScramHash, ScramKey};

/// The keys by which a broker checks a SCRAM proof.
///
/// ```
/// use milena_security::sasl::{ScramCredential, ScramHash};
///
/// let credential = ScramCredential::derive(ScramHash::Sha512, b"alice-secret", b"salt", 8_192)?;
/// assert_eq!(credential.iterations(), 8_192);
/// # Ok::<(), milena_core::Error>(())
/// ```
#[derive(Clone)]
pub struct ScramCredential {
    /// The hash of all keys.
    hash: ScramHash,
    /// The salt. Never empty.
    salt: Vec<u8>,
    /// The iterations of PBKDF2, within [`ITERATIONS`](Self::ITERATIONS).
    iterations: u32,
    /// The hash of the client's key, which the proof must lead to.
    stored_key: ScramKey,
    /// The key that signs the last answer.
    server_key: ScramKey,
}

impl ScramCredential {
    /// The iteration counts that both halves accept. A smaller one is a downgrade, and a larger one
    /// makes the client compute for seconds.
    pub const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=1_000_000;

    /// Derives the keys from a password.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an empty salt or an iteration count out of bounds.
    pub fn derive(hash: ScramHash, password: &[u8], salt: &[u8], iterations: u32) -> Result<Self> {
        checked(salt, iterations)?;
        let salted = hash.salted(password, salt, iterations);
        Self::from_salted(hash, &salted, salt, iterations)
    }

    /// Derives the keys from a salted password, as AlterUserScramCredentials carries it.
    ///
    /// # Errors
    /// As [`derive`](Self::derive), and for a salted password of another length than the hash's.
    pub fn from_salted(
        hash: ScramHash,
        salted: &[u8],
        salt: &[u8],
        iterations: u32,
    ) -> Result<Self> {
        checked(salt, iterations)?;
        if salted.len() != hash.key_len() {
            let text = format!(
                "a salted password for {hash:?} has {} bytes",
                hash.key_len()
            );
            return Err(Error::new(ErrorKind::Config, text));
        }
        let client_key = hash.hmac(salted, CLIENT_KEY);
        Ok(Self {
            hash,
            salt: salt.to_vec(),
            iterations,
            stored_key: hash.digest(&client_key),
            server_key: hash.hmac(salted, SERVER_KEY),
        })
    }

    /// Returns the hash.
    #[must_use]
    pub fn hash(&self) -> ScramHash {
        self.hash
    }

    /// Returns the salt.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Returns the iteration count.
    #[must_use]
    pub fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(crate) fn stored_key(&self) -> &[u8] {
        &self.stored_key
    }

    pub(crate) fn server_key(&self) -> &[u8] {
        &self.server_key
    }
}

/// Writes no key and no salt.
impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ScramCredential({:?}, {} iterations)",
            self.hash, self.iterations
        )
    }
}

fn checked(salt: &[u8], iterations: u32) -> Result<()> {
    let range = ScramCredential::ITERATIONS;
    if salt.is_empty() || !range.contains(&iterations) {
        let text = format!(
            "a SCRAM credential needs a salt and {} to {} iterations, not {iterations}",
            range.start(),
            range.end()
        );
        return Err(Error::new(ErrorKind::Config, text));
    }
    Ok(())
}

/// The text from which the client's key is derived.
pub(crate) const CLIENT_KEY: &[u8] = b"Client Key";
/// The text from which the server's key is derived.
pub(crate) const SERVER_KEY: &[u8] = b"Server Key";
