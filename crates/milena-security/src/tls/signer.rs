//! Signatures of JSON web tokens by the cryptography of TLS.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use milena_core::{Error, ErrorKind, Result};
use rustls::SignatureScheme;
use rustls::sign::SigningKey;
use serde_json::{Map, Value, json};

use super::pem_source::PemSource;
use super::private_key::private_key;
use super::provider::provider;
use crate::secret::{Secret, SecretSource};

/// An algorithm of a signed token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// RSA with SHA-256 (`RS256`).
    Rs256,
    /// ECDSA on P-256 with SHA-256 (`ES256`).
    Es256,
}

impl SigningAlgorithm {
    /// Returns the name in a token's header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }

    const fn scheme(self) -> SignatureScheme {
        match self {
            Self::Rs256 => SignatureScheme::RSA_PKCS1_SHA256,
            Self::Es256 => SignatureScheme::ECDSA_NISTP256_SHA256,
        }
    }
}

/// A private key that signs tokens.
#[derive(Clone)]
pub struct TokenSigner {
    /// The algorithm. The key is of its kind.
    algorithm: SigningAlgorithm,
    /// The key.
    key: Arc<dyn SigningKey>,
}

impl TokenSigner {
    /// Reads the key from `source`. Blocks.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no key of the algorithm's kind, or a password is missing.
    pub fn read(
        algorithm: SigningAlgorithm,
        source: &PemSource,
        password: Option<&SecretSource>,
    ) -> Result<Self> {
        let password = password.map(SecretSource::read_blocking).transpose()?;
        let key = private_key(&source.read()?, password.as_ref(), source)?;
        let key = provider()?.key_provider.load_private_key(key);
        let key = key.map_err(|error| source.refused(&format!("its key cannot sign ({error})")))?;
        if key.choose_scheme(&[algorithm.scheme()]).is_none() {
            let text = format!("its key cannot sign with {}", algorithm.name());
            return Err(source.refused(&text));
        }
        Ok(Self { algorithm, key })
    }

    /// Returns the token with `claims`, signed. `header` holds more than algorithm and type, such
    /// as the name of the key.
    pub(crate) fn token(
        &self,
        claims: Map<String, Value>,
        mut header: Map<String, Value>,
    ) -> Result<Secret> {
        header.insert("alg".to_owned(), json!(self.algorithm.name()));
        header.insert("typ".to_owned(), json!("JWT"));
        let part = |fields| URL_SAFE_NO_PAD.encode(Value::Object(fields).to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let failed = |why: &str| {
            let text = format!("a token cannot be signed: {why}");
            Error::new(ErrorKind::Security, text)
        };
        let signer = self.key.choose_scheme(&[self.algorithm.scheme()]);
        let signer = signer.ok_or_else(|| failed("the key is of another kind"))?;
        let signature = signer
            .sign(text.as_bytes())
            .map_err(|error| failed(&error.to_string()))?;
        let signature = match self.algorithm {
            SigningAlgorithm::Rs256 => signature,
            SigningAlgorithm::Es256 => {
                fixed(&signature).ok_or_else(|| failed("the signature has an unknown form"))?
            }
        };
        Ok(Secret::from(format!(
            "{text}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSigner({})", self.algorithm.name())
    }
}

/// Turns an ECDSA signature of TLS, two integers in DER, into the form of tokens, which is 32 bytes
/// of each. `None` if it is no such signature.
fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    use x509_cert::der::asn1::UintRef;
    use x509_cert::der::{Decode, Reader, SliceReader};
    let mut reader = SliceReader::new(der).ok()?;
    let both = reader.sequence(|inner| Ok((UintRef::decode(inner)?, UintRef::decode(inner)?)));
    let (r, s) = both.ok()?;
    let mut out = Vec::with_capacity(64);
    for number in [r.as_bytes(), s.as_bytes()] {
        out.resize(out.len() + 32_usize.checked_sub(number.len())?, 0);
        out.extend_from_slice(number);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_numbers_of_a_signature_are_filled_up() {
        // Two integers: 1, and 0x80 with the zero byte that keeps it positive.
        let out = fixed(&[0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]).unwrap();
        assert_eq!((out.len(), out[31], out[63]), (64, 1, 0x80));
        assert_eq!(fixed(&[]), None);
        assert_eq!(fixed(&[0x30, 3, 2, 1, 1]), None);
    }
}
