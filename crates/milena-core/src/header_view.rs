//! A borrowed view of headers, over wire bytes that are decoded on access or over a list.

use std::borrow::Cow;

use crate::RecordHeader;

/// One borrowed header. Keys are text by convention, but the wire allows any bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderRef<'a> {
    /// The key's bytes.
    pub key: &'a [u8],
    /// The value. `None` is Kafka's null, which differs from an empty value.
    pub value: Option<&'a [u8]>,
}

impl<'a> HeaderRef<'a> {
    /// Returns the key as text. Bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn key_text(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.key)
    }
}

/// The headers of a record, borrowed. Order, duplicate keys and null values are kept.
#[derive(Clone, Copy, Debug)]
pub struct HeadersRef<'a>(BorrowedHeaders<'a>);

#[derive(Clone, Copy, Debug)]
enum BorrowedHeaders<'a> {
    /// Headers in the wire form of record batch v2, where a zigzag varint length stands before each
    /// key and value.
    Wire {
        /// The bytes not read yet. May end early if a broker sent fewer than it announced.
        raw: &'a [u8],
        /// The number of headers announced and not read yet.
        count: usize,
    },
    /// Headers in a list.
    List(&'a [RecordHeader]),
}

impl<'a> HeadersRef<'a> {
    /// Returns a view without headers.
    #[must_use]
    pub const fn empty() -> Self {
        Self(BorrowedHeaders::List(&[]))
    }

    /// Creates a view of `count` headers in wire form. If `raw` ends early, iteration ends there,
    /// too.
    #[must_use]
    pub const fn wire(raw: &'a [u8], count: usize) -> Self {
        Self(BorrowedHeaders::Wire { raw, count })
    }

    /// Views a list.
    #[must_use]
    pub const fn list(list: &'a [RecordHeader]) -> Self {
        Self(BorrowedHeaders::List(list))
    }

    /// Returns the number of headers. For wire bytes that end early, it is the announced count.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.0 {
            BorrowedHeaders::Wire { count, .. } => count,
            BorrowedHeaders::List(list) => list.len(),
        }
    }

    /// Returns true if there are no headers.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterates over all headers, in order.
    #[must_use]
    pub const fn iter(&self) -> HeaderIter<'a> {
        HeaderIter(self.0)
    }

    /// Returns the value of the last header with this key, like Kafka's own clients. `Some(None)`
    /// is a header with a null value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Option<&'a [u8]>> {
        self.iter()
            .filter(|header| header.key == key.as_bytes())
            .last()
            .map(|header| header.value)
    }

    /// Returns the wire bytes and the count, which can be copied unchanged. `None` if the view is
    /// over a list.
    #[must_use]
    pub const fn as_wire(&self) -> Option<(&'a [u8], usize)> {
        match self.0 {
            BorrowedHeaders::Wire { raw, count } => Some((raw, count)),
            BorrowedHeaders::List(_) => None,
        }
    }
}

impl<'a> IntoIterator for HeadersRef<'a> {
    type Item = HeaderRef<'a>;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

impl PartialEq for HeadersRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// Iterates over borrowed headers.
#[derive(Clone, Debug)]
pub struct HeaderIter<'a>(BorrowedHeaders<'a>);

impl<'a> Iterator for HeaderIter<'a> {
    type Item = HeaderRef<'a>;

    fn next(&mut self) -> Option<HeaderRef<'a>> {
        match &mut self.0 {
            BorrowedHeaders::List(list) => {
                let (first, rest) = list.split_first()?;
                *list = rest;
                Some(HeaderRef {
                    key: &first.key,
                    value: first.value.as_deref(),
                })
            }
            BorrowedHeaders::Wire { count: 0, .. } => None,
            BorrowedHeaders::Wire { raw, count } => {
                *count -= 1;
                let header = read_header(raw);
                if header.is_none() {
                    *count = 0; // the bytes end early: so does the view
                }
                header
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.0 {
            BorrowedHeaders::List(list) => (list.len(), Some(list.len())),
            BorrowedHeaders::Wire { count, .. } => (0, Some(count)),
        }
    }
}

/// Reads one header from the front of `raw`. `None` if the bytes end early.
fn read_header<'a>(raw: &mut &'a [u8]) -> Option<HeaderRef<'a>> {
    let key_len = usize::try_from(read_varint(raw)?).ok()?;
    let key = take(raw, key_len)?;
    let value = match usize::try_from(read_varint(raw)?) {
        Ok(len) => Some(take(raw, len)?),
        Err(_) => None,
    };
    Some(HeaderRef { key, value })
}

/// Takes `len` bytes from the front of `raw`. `None` if there are fewer.
fn take<'a>(raw: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (front, rest) = raw.split_at_checked(len)?;
    *raw = rest;
    Some(front)
}

/// Reads a zigzag varint of at most five bytes. `None` if it is longer or the bytes end early.
fn read_varint(raw: &mut &[u8]) -> Option<i32> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = raw.split_first()?;
        *raw = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i32 ^ -((value & 1) as i32));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two headers in wire form. The first is "a" with value "xy", the second is "a" with a null
    // value.
    const WIRE: &[u8] = &[2, b'a', 4, b'x', b'y', 2, b'a', 1];

    #[test]
    fn wire_headers_keep_order_duplicates_and_nulls() {
        let headers = HeadersRef::wire(WIRE, 2);
        let read: Vec<_> = headers
            .iter()
            .map(|h| (h.key_text().into_owned(), h.value))
            .collect();
        assert_eq!(
            read,
            [("a".to_owned(), Some(&b"xy"[..])), ("a".to_owned(), None)]
        );
        assert_eq!(headers.get("a"), Some(None));
        assert_eq!(headers.get("b"), None);
    }

    #[test]
    fn a_view_over_bytes_that_end_early_ends_there() {
        for cut in 0..WIRE.len() {
            assert!(HeadersRef::wire(&WIRE[..cut], 2).iter().count() < 2);
        }
        assert_eq!(HeadersRef::wire(&[0xff; 32], 9).iter().count(), 0);
    }

    #[test]
    fn a_view_over_a_list_equals_one_over_the_wire() {
        let list = [
            RecordHeader {
                key: "a".into(),
                value: Some("xy".into()),
            },
            RecordHeader {
                key: "a".into(),
                value: None,
            },
        ];
        assert_eq!(HeadersRef::list(&list), HeadersRef::wire(WIRE, 2));
    }
}
