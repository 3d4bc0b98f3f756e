//! The messages of SCRAM, read and written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::nonce::is_nonce;
use crate::sasl::attributes::{escape, read, unescape};

/// The header of a client without channel binding. No Kafka broker has channel binding.
pub(crate) const GS2_HEADER: &str = "n,,";

/// The first message of a client without its header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFirst {
    /// The user name, or the id of a delegation token.
    pub(crate) user: String,
    /// The client's nonce.
    pub(crate) nonce: String,
    /// True if the user name is the id of a delegation token.
    pub(crate) by_token: bool,
}

impl ClientFirst {
    /// Returns the message without its header. The extension stands behind the nonce, as in Java.
    pub(crate) fn bare(&self) -> String {
        let extension = if self.by_token { ",tokenauth=true" } else { "" };
        format!("n={},r={}{extension}", escape(&self.user), self.nonce)
    }

    /// Reads a whole message. Returns its header, the rest as it stands, and the content. `None` if
    /// it breaks the grammar, asks for channel binding, or acts for another user.
    pub(crate) fn read(text: &str) -> Option<(&str, &str, Self)> {
        let mut parts = text.splitn(3, ',');
        let (binding, acting, bare) = (parts.next()?, parts.next()?, parts.next()?);
        if !matches!(binding, "n" | "y") {
            return None;
        }
        let header = text.get(..text.len() - bare.len())?;
        // Extensions of Kafka have names of more than one letter, so the list is read by hand.
        let mut fields = bare.split(',');
        let user = unescape(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        let by_token = fields.any(|field| field.eq_ignore_ascii_case("tokenauth=true"));
        let acts_for_itself = match acting.strip_prefix("a=") {
            Some(name) => unescape(name)? == user,
            None => acting.is_empty(),
        };
        (acts_for_itself && !user.is_empty() && is_nonce(nonce)).then(|| {
            let nonce = nonce.to_owned();
            let content = Self {
                user,
                nonce,
                by_token,
            };
            (header, bare, content)
        })
    }
}

/// The first message of a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerFirst {
    /// The nonce of both sides.
    pub(crate) nonce: String,
    /// The salt.
    pub(crate) salt: Vec<u8>,
    /// The iterations of PBKDF2.
    pub(crate) iterations: u32,
}

impl ServerFirst {
    pub(crate) fn text(&self) -> String {
        let salt = STANDARD.encode(&self.salt);
        format!("r={},s={salt},i={}", self.nonce, self.iterations)
    }

    /// Reads a message.
    ///
    /// # Errors
    /// The reason, or the server's own text behind `e=`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let fields = read(text).ok_or("it is no list of attributes")?;
        let mut fields = fields.into_iter();
        let mut next = |name: char| match fields.next() {
            Some((found, value)) if found == name => Ok(value),
            Some(('e', reason)) => Err(format!("the broker says {reason:?}")),
            Some(('m', _)) => Err("it needs an extension that milena does not have".to_owned()),
            _ => Err(format!("attribute {name} is missing")),
        };
        let nonce = next('r')?.to_owned();
        let salt = STANDARD
            .decode(next('s')?)
            .map_err(|_| "the salt is no base64")?;
        let iterations = next('i')?;
        // `parse` takes a leading plus, which the grammar does not have.
        let digits = iterations.bytes().all(|byte| byte.is_ascii_digit());
        let iterations = iterations.parse().ok().filter(|_| digits);
        let iterations = iterations.ok_or("the iteration count is no number")?;
        if !is_nonce(&nonce) || salt.is_empty() {
            return Err("nonce or salt is empty".to_owned());
        }
        Ok(Self {
            nonce,
            salt,
            iterations,
        })
    }
}

/// The last message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientFinal<'a> {
    /// The header of the first message.
    pub(crate) binding: Vec<u8>,
    /// The nonce of both sides.
    pub(crate) nonce: &'a str,
    /// The proof.
    pub(crate) proof: Vec<u8>,
    /// The message without its proof, as it stands.
    pub(crate) without_proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    /// Returns the message without its proof.
    pub(crate) fn without_proof(nonce: &str) -> String {
        format!("c={},r={nonce}", STANDARD.encode(GS2_HEADER))
    }

    /// Reads a message. `None` if it breaks the grammar.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let mut fields = read(without_proof)?.into_iter();
        let ('c', binding) = fields.next()? else {
            return None;
        };
        let ('r', nonce) = fields.next()? else {
            return None;
        };
        Some(Self {
            binding: STANDARD.decode(binding).ok()?,
            nonce,
            proof: STANDARD.decode(proof).ok()?,
            without_proof,
        })
    }
}

/// Reads the last message of a server, and returns its signature.
///
/// # Errors
/// The reason, or the server's own text behind `e=`.
pub(crate) fn read_server_final(text: &str) -> Result<Vec<u8>, String> {
    let fields = read(text).ok_or("it is no list of attributes")?;
    match fields.first() {
        Some(('v', signature)) => STANDARD
            .decode(signature)
            .map_err(|_| "the signature is no base64".to_owned()),
        Some(('e', reason)) => Err(format!("the broker says {reason:?}")),
        _ => Err("it has no signature".to_owned()),
    }
}
