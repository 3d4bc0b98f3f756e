//! Frames, each a 4-byte length and a message. The length is capped, and a peer that does not speak
//! Kafka is recognised.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use milena_core::{Error, ErrorKind, Result};

/// The default cap on a frame, in bytes (100 MiB, the default of Kafka brokers).
pub const DEFAULT_MAX_FRAME: usize = 100 << 20;

/// A protocol other than Kafka's, recognised by a peer's first bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ForeignPeer {
    /// An HTTP server or client.
    Http,
    /// TLS, although plain text was expected.
    Tls,
    /// SSH.
    Ssh,
    /// Some other protocol of text lines.
    Text,
}

impl ForeignPeer {
    /// Recognises another protocol by the first four bytes that a peer sent.
    ///
    /// Read as a frame length, each of them is over 168 MB, so no Kafka frame within the default
    /// cap is taken for one.
    pub fn recognise(first: [u8; 4]) -> Option<Self> {
        match &first {
            b"HTTP" | b"GET " | b"POST" | b"HEAD" | b"PUT " | b"OPTI" | b"CONN" | b"PRI " => {
                Some(Self::Http)
            }
            b"SSH-" => Some(Self::Ssh),
            [0x14..=0x17, 3, 0..=4, _] => Some(Self::Tls),
            text if text
                .iter()
                .all(|byte| matches!(byte, b' '..=b'~' | b'\r' | b'\n')) =>
            {
                Some(Self::Text)
            }
            _ => None,
        }
    }
}

impl fmt::Display for ForeignPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "the peer speaks HTTP, not Kafka",
            Self::Tls => "the peer speaks TLS where plain text was expected",
            Self::Ssh => "the peer speaks SSH, not Kafka",
            Self::Text => "the peer speaks a text protocol, not Kafka",
        })
    }
}

/// Reads a frame's length, in bytes, from its first four bytes.
///
/// # Errors
/// [`ErrorKind::Decode`] if the length is negative or over `max` bytes. If the bytes begin another
/// protocol, the message names it.
pub fn length(prefix: [u8; 4], max: usize) -> Result<usize> {
    let raw = i32::from_be_bytes(prefix);
    match usize::try_from(raw) {
        Ok(len) if len <= max => Ok(len),
        _ => Err(match ForeignPeer::recognise(prefix) {
            Some(peer) => Error::new(ErrorKind::Decode, peer.to_string()),
            None => Error::new(
                ErrorKind::Decode,
                format!(
                    "a frame of {raw} bytes is outside 0 to {max}; the peer does not speak Kafka, or its message is over the cap"
                ),
            ),
        }),
    }
}

/// Takes the next whole frame, without its length, from the front of `buffer`.
///
/// `Ok(None)` means that more bytes are needed. Room for them has been reserved, at most `max`
/// bytes.
///
/// # Errors
/// Those of [`length`].
pub fn take(buffer: &mut BytesMut, max: usize) -> Result<Option<Bytes>> {
    let Some(prefix) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let len = length(*prefix, max)?;
    let whole = len.saturating_add(4);
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(len).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_whole_and_in_order() {
        let mut buffer = BytesMut::from(&[0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 9][..]);
        assert_eq!(
            take(&mut buffer, 100).unwrap().unwrap(),
            Bytes::from_static(&[1, 2])
        );
        assert_eq!(take(&mut buffer, 100).unwrap().unwrap(), Bytes::new());
        assert_eq!(take(&mut buffer, 100).unwrap(), None);
        buffer.extend_from_slice(&[8, 7]);
        assert_eq!(
            take(&mut buffer, 100).unwrap().unwrap(),
            Bytes::from_static(&[9, 8, 7])
        );
    }

    #[test]
    fn a_foreign_peer_is_named() {
        for (first, name) in [
            (*b"HTTP", "HTTP"),
            ([0x15, 3, 3, 0], "TLS"),
            ([0x16, 3, 1, 2], "TLS"),
            (*b"220 ", "text"),
            (*b"SSH-", "SSH"),
        ] {
            let error = length(first, DEFAULT_MAX_FRAME).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_length_over_the_cap_or_below_zero_is_refused() {
        assert!(length([0xff, 0xff, 0xff, 0xff], 1000).is_err());
        assert!(length([0, 0, 4, 0], 1000).is_err());
        assert_eq!(length([0, 0, 3, 232], 1000).unwrap(), 1000);
    }
}
