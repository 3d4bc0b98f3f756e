//! The hash functions of SCRAM, and the keys that they derive.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A hash function of SCRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScramHash {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

/// A key or a signature of SCRAM. It is wiped when it is dropped.
pub(crate) type ScramKey = Zeroizing<Vec<u8>>;

impl ScramHash {
    /// Returns the number of bytes of a key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Returns HMAC of `data` under `key`.
    pub(crate) fn hmac(self, key: &[u8], data: &[u8]) -> ScramKey {
        match self {
            Self::Sha256 => Zeroizing::new(crate::digest::hmac_sha256(key, data).to_vec()),
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key)
                    .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha512>>::default()));
                mac.update(data);
                Zeroizing::new(mac.finalize().into_bytes().to_vec())
            }
        }
    }

    /// Returns the hash of `data`.
    pub(crate) fn digest(self, data: &[u8]) -> ScramKey {
        Zeroizing::new(match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        })
    }

    /// Returns the salted password (PBKDF2). It takes about 1 ms for 4,096 iterations.
    pub(crate) fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> ScramKey {
        let mut out = Zeroizing::new(vec![0; self.key_len()]);
        match self {
            Self::Sha256 => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut out),
            Self::Sha512 => pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, iterations, &mut out),
        }
        out
    }
}

/// Returns both byte by byte in exclusive or. The result is as long as the shorter one.
pub(crate) fn xor(one: &[u8], other: &[u8]) -> ScramKey {
    Zeroizing::new(one.iter().zip(other).map(|(a, b)| a ^ b).collect())
}

/// Compares in constant time.
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
