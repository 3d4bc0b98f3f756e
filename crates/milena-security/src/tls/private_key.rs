//! A private key in PEM: PKCS#8, PKCS#1 or SEC1, and encrypted PKCS#8 behind a feature.

use milena_core::Result;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::pem_source::PemSource;
use crate::secret::Secret;

/// Reads the first private key of `pem`. `password` decrypts it, if it is encrypted.
pub(crate) fn private_key(
    pem: &Secret,
    password: Option<&Secret>,
    from: &PemSource,
) -> Result<PrivateKeyDer<'static>> {
    let text = pem
        .text()
        .map_err(|_| from.refused("it is no text, so no PEM"))?;
    if text.contains(ENCRYPTED) {
        return decrypted(text, password, from);
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(from.refused(
            "its key is encrypted in OpenSSL's old form: convert it with \
             `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out key.pem`",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem.expose()).map_err(|_| {
        from.refused(
            "it has no private key: it needs \"BEGIN PRIVATE KEY\" (PKCS#8), \"BEGIN RSA PRIVATE \
             KEY\" or \"BEGIN EC PRIVATE KEY\"",
        )
    })
}

/// Decrypts the key between the lines of `text`.
#[cfg(feature = "encrypted-keys")]
fn decrypted(
    text: &str,
    password: Option<&Secret>,
    from: &PemSource,
) -> Result<PrivateKeyDer<'static>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use zeroize::Zeroizing;

    let Some(password) = password else {
        return Err(from.refused(
            "its key is encrypted and no password is set: set the password of the key \
             (`ssl.key.password`)",
        ));
    };
    let damaged = || from.refused("its encrypted key is damaged");
    let (_, rest) = text.split_once(ENCRYPTED).ok_or_else(damaged)?;
    let (body, _) = rest.split_once("-----END").ok_or_else(damaged)?;
    let body: String = body.split_whitespace().collect();
    let der = Zeroizing::new(STANDARD.decode(body).map_err(|_| damaged())?);
    let old = || {
        from.refused(
            "its key is encrypted in a form that milena does not read (only PBES2): convert it with \
             `openssl pkcs8 -topk8 -v2 aes-256-cbc -in KEY -out key.pem`",
        )
    };
    let key = pkcs8::EncryptedPrivateKeyInfo::try_from(der.as_slice()).map_err(|_| old())?;
    key.encryption_algorithm.pbes2().ok_or_else(old)?;
    let plain = key.decrypt(password.expose()).map_err(|_| {
        from.refused("its key cannot be decrypted: the password of the key is wrong")
    })?;
    // A wrong password may decrypt to bytes that are no key.
    let bytes = plain.as_bytes().to_vec();
    Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(bytes)))
}

/// Refuses, since the feature is off.
#[cfg(not(feature = "encrypted-keys"))]
fn decrypted(_: &str, _: Option<&Secret>, from: &PemSource) -> Result<PrivateKeyDer<'static>> {
    Err(from.refused(
        "its key is encrypted, and this program was built without the feature encrypted-keys: build \
         with it, or decrypt the key with `openssl pkcs8 -in KEY -out key.pem`",
    ))
}

/// The line above an encrypted key.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
