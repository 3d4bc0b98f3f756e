//! Encodings of bytes as text.

use std::borrow::Cow;
use std::io::Write;

use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, Engine};
use base64::{DecodeError, alphabet};

/// An encoding of bytes as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// The bytes unchanged.
    Raw,
    /// Two hexadecimal digits per byte.
    Hex,
    Base64,
    /// A JSON string, or `{"base64":"..."}` for bytes that are not UTF-8.
    Json,
}

impl Encoding {
    /// Returns the encoding of that name.
    pub(super) fn by_name(name: &str) -> Result<Self, String> {
        Ok(match name {
            "raw" => Self::Raw,
            "hex" => Self::Hex,
            "base64" => Self::Base64,
            "json" => Self::Json,
            _ => {
                return Err(format!(
                    "'{name}' is not one of the encodings raw, hex, base64, json"
                ));
            }
        })
    }

    /// Writes bytes in this encoding at the end of `out`.
    pub(super) fn write(self, bytes: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Raw => out.extend_from_slice(bytes),
            Self::Hex => out.extend(bytes.iter().flat_map(|byte| {
                let digit = |half: u8| b"0123456789abcdef".get(usize::from(half)).copied();
                [digit(byte >> 4), digit(byte & 15)].into_iter().flatten()
            })),
            Self::Base64 => base64(bytes, out),
            Self::Json => {
                let value = match std::str::from_utf8(bytes) {
                    Ok(text) => serde_json::Value::from(text),
                    // A JSON string cannot hold bytes that are not UTF-8.
                    Err(_) => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
                };
                out.extend_from_slice(value.to_string().as_bytes());
            }
        }
    }

    /// Reads bytes in this encoding.
    pub(super) fn read(self, text: &[u8]) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Self::Raw => Ok(Cow::Borrowed(text)),
            Self::Hex => unhex(text).map(Cow::Owned),
            Self::Base64 => unbase64(text).map(Cow::Owned),
            Self::Json => unjson(text).map(Cow::Owned),
        }
    }
}

/// Reads a JSON string, or `{"base64":"..."}`.
fn unjson(text: &[u8]) -> Result<Vec<u8>, String> {
    use serde_json::Value;

    match serde_json::from_slice(text) {
        Ok(Value::String(text)) => Ok(text.into_bytes()),
        Ok(Value::Object(object)) => match object.get("base64") {
            Some(Value::String(text)) if object.len() == 1 => unbase64(text.as_bytes()),
            _ => Err("not an object of the form {\"base64\":\"...\"}".to_owned()),
        },
        Ok(other) => Err(format!("not a JSON string: {other}")),
        Err(error) => Err(format!("not a JSON string: {error}")),
    }
}

/// Reads pairs of hexadecimal digits.
fn unhex(text: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text.chunks(2).map(pair).collect();
    bytes.ok_or_else(|| "not pairs of hexadecimal digits".to_owned())
}

/// Writes bytes in base64 at the end of `out`.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    // Cannot fail, because a vector takes every byte.
    let _ = write!(out, "{}", Base64Display::new(bytes, &STANDARD));
}

/// Reads base64, with or without padding.
fn unbase64(text: &[u8]) -> Result<Vec<u8>, String> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    let text = text.strip_suffix(b"=").unwrap_or(text);
    UNPADDED.decode(text).map_err(|error| match error {
        DecodeError::InvalidLength(_) => "base64 that ends too early".to_owned(),
        DecodeError::InvalidByte(..)
        | DecodeError::InvalidLastSymbol(..)
        | DecodeError::InvalidPadding => "not base64".to_owned(),
    })
}

/// The reader of base64 without its padding. It accepts any bits after the last whole byte, because
/// some writers do not clear them.
const UNPADDED: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back_through_each_encoding() {
        let bytes: Vec<u8> = (0..=255).collect();
        for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Json] {
            for len in 0..bytes.len() {
                let mut text = Vec::new();
                encoding.write(&bytes[..len], &mut text);
                assert_eq!(&*encoding.read(&text).unwrap(), &bytes[..len]);
                let mut text = Vec::new();
                encoding.write(&bytes[len..], &mut text);
                assert_eq!(&*encoding.read(&text).unwrap(), &bytes[len..]);
            }
        }
    }

    #[test]
    fn the_forms_are_the_usual_ones() {
        let written = |encoding: Encoding, bytes: &[u8]| {
            let mut out = Vec::new();
            encoding.write(bytes, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(Encoding::Base64, b"hello!!"), "aGVsbG8hIQ==");
        assert_eq!(written(Encoding::Hex, &[0, 171]), "00ab");
        assert_eq!(written(Encoding::Json, b"a\"\n"), "\"a\\\"\\n\"");
        assert!(Encoding::Hex.read(b"0g").is_err() && Encoding::Hex.read(b"012").is_err());
        assert!(Encoding::Base64.read(b"a!").is_err() && Encoding::Base64.read(b"a").is_err());
    }
}
