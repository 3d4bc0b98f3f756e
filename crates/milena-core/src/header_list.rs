//! Owned record headers. Order, duplicate keys and null values are kept.

use bytes::Bytes;

use crate::{HeaderIter, HeaderRef, HeadersRef};

/// One header of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordHeader {
    /// The key. It is text by convention, but the wire allows any bytes.
    pub key: Bytes,
    /// The value. `None` is Kafka's null, which differs from an empty value.
    pub value: Option<Bytes>,
}

/// The headers of a record.
///
/// Headers of a consumed record stay in the fetched bytes until the first change. That change
/// decodes them into a list.
#[derive(Clone, Debug)]
pub struct Headers(OwnedHeaders);

#[derive(Clone, Debug)]
enum OwnedHeaders {
    /// Headers as fetched: `raw` holds `count` headers in the wire form of record batch v2.
    Wire { raw: Bytes, count: usize },
    /// Headers of a new record, or of a consumed record that was changed.
    List(Vec<RecordHeader>),
}

impl Headers {
    /// Creates an empty list. Allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self(OwnedHeaders::List(Vec::new()))
    }

    /// Takes `count` headers in the wire form of record batch v2. Decodes nothing yet.
    #[must_use]
    pub const fn from_wire(raw: Bytes, count: usize) -> Self {
        Self(OwnedHeaders::Wire { raw, count })
    }

    /// Adds a header at the end. Existing headers with the same key stay.
    pub fn push(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.list().push(RecordHeader {
            key: key.into(),
            value: Some(value.into()),
        });
    }

    /// Adds a header with a null value at the end.
    pub fn push_null(&mut self, key: impl Into<Bytes>) {
        self.list().push(RecordHeader {
            key: key.into(),
            value: None,
        });
    }

    /// Removes all headers with this key.
    pub fn remove(&mut self, key: &str) {
        if self.get(key).is_some() {
            self.list().retain(|header| header.key != key.as_bytes());
        }
    }

    /// Removes all headers with this key, then adds one with `value` at the end.
    pub fn set(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let key = key.into();
        let list = self.list();
        list.retain(|header| header.key != key);
        list.push(RecordHeader {
            key,
            value: Some(value.into()),
        });
    }

    /// Replaces bytes that are not UTF-8 in every key with U+FFFD.
    ///
    /// A producer refuses keys that are not UTF-8 in headers that were created or changed here.
    /// Consumed records can have such keys, since brokers accept them from other clients.
    pub fn keys_to_text(&mut self) {
        let unreadable = |header: HeaderRef<'_>| std::str::from_utf8(header.key).is_err();
        if !self.iter().any(unreadable) {
            return;
        }
        for header in self.list() {
            let text = String::from_utf8_lossy(&header.key).into_owned();
            header.key = text.into();
        }
    }

    /// Returns the value of the last header with this key. `Some(None)` is a header with a null
    /// value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Option<&[u8]>> {
        self.view().get(key)
    }

    /// Returns the last value of this key as text. `None` if the key is missing, or the value is
    /// null or not UTF-8.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.get(key)??).ok()
    }

    /// Returns the number of headers. Duplicate keys count separately.
    #[must_use]
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Returns true if there are no headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.view().is_empty()
    }

    /// Iterates over all headers, in order.
    #[must_use]
    pub fn iter(&self) -> HeaderIter<'_> {
        self.view().iter()
    }

    /// Returns the headers as a borrowed view.
    #[must_use]
    pub fn view(&self) -> HeadersRef<'_> {
        match &self.0 {
            OwnedHeaders::Wire { raw, count } => HeadersRef::wire(raw, *count),
            OwnedHeaders::List(list) => HeadersRef::list(list),
        }
    }

    /// Returns a copy that shares no bytes with the fetched frame, so that the frame can be freed.
    #[must_use]
    pub fn detach(&self) -> Self {
        match &self.0 {
            OwnedHeaders::Wire { raw, count } => Self(OwnedHeaders::Wire {
                raw: Bytes::copy_from_slice(raw),
                count: *count,
            }),
            OwnedHeaders::List(list) => Self(OwnedHeaders::List(
                list.iter()
                    .map(|header| RecordHeader {
                        key: Bytes::copy_from_slice(&header.key),
                        value: header.value.as_deref().map(Bytes::copy_from_slice),
                    })
                    .collect(),
            )),
        }
    }

    fn list(&mut self) -> &mut Vec<RecordHeader> {
        if let OwnedHeaders::Wire { raw, count } = &self.0 {
            let owned = |part: &[u8]| raw.slice_ref(part);
            let list = HeadersRef::wire(raw, *count)
                .iter()
                .map(|HeaderRef { key, value }| RecordHeader {
                    key: owned(key),
                    value: value.map(owned),
                })
                .collect();
            self.0 = OwnedHeaders::List(list);
        }
        match &mut self.0 {
            OwnedHeaders::List(list) => list,
            OwnedHeaders::Wire { .. } => unreachable!("made a list above"),
        }
    }
}

impl Default for Headers {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

impl Eq for Headers {}

impl<K: Into<Bytes>, V: Into<Bytes>> FromIterator<(K, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut headers = Self::new();
        headers.extend(pairs);
        headers
    }
}

impl<K: Into<Bytes>, V: Into<Bytes>> Extend<(K, V)> for Headers {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, pairs: I) {
        for (key, value) in pairs {
            self.push(key, value);
        }
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = HeaderRef<'a>;
    type IntoIter = HeaderIter<'a>;

    fn into_iter(self) -> HeaderIter<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_no_text_can_be_made_text() {
        let mut headers = Headers::new();
        headers.push("größe", &b"\xff"[..]);
        headers.push(&b"odd\xff"[..], "1");
        headers.keys_to_text();
        let keys: Vec<_> = headers.iter().map(|header| header.key_text()).collect();
        assert_eq!(keys, ["größe", "odd\u{fffd}"]);
        assert_eq!(headers.get("größe"), Some(Some(&b"\xff"[..])));
    }

    #[test]
    fn duplicates_and_nulls_stay_in_order() {
        let mut headers = Headers::new();
        headers.push("a", "1");
        headers.push_null("b");
        headers.push("a", "2");
        let keys: Vec<_> = headers.iter().map(|h| (h.key, h.value)).collect();
        assert_eq!(
            keys,
            [
                (&b"a"[..], Some(&b"1"[..])),
                (b"b", None),
                (b"a", Some(b"2"))
            ]
        );
        assert_eq!(headers.text("a"), Some("2"));
        assert_eq!(headers.get("b"), Some(None));
    }

    #[test]
    fn headers_in_wire_form_can_be_changed() {
        let mut headers =
            Headers::from_wire(Bytes::from_static(&[2, b'a', 2, b'x', 2, b'b', 1]), 2);
        headers.set("a", "y");
        assert_eq!(headers.text("a"), Some("y"));
        assert_eq!(headers.get("b"), Some(None));
        headers.remove("b");
        assert_eq!(headers, Headers::from_iter([("a", "y")]));
    }
}
