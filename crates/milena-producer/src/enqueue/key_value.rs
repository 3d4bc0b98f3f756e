//! The types that can be enqueued many at a time, which are values, and pairs of key and value.

use bytes::Bytes;

/// A key or a value, which is bytes, text, or null.
pub trait Part {
    /// Returns the bytes. `None` is null.
    fn part(&self) -> Option<&[u8]>;
}

/// A record for [`Topic::enqueue_all`](crate::Topic::enqueue_all), which is a value, or a pair of
/// key and value.
///
/// ```
/// # async fn send(orders: &milena_producer::Topic) {
/// // Values without keys.
/// let _ = orders.enqueue_all(["first", "second"]).await;
/// // Keys and values, owned or borrowed.
/// let _ = orders.enqueue_all([("customer-7", "paid"), ("customer-9", "shipped")]).await;
/// // A null value is a tombstone.
/// let _ = orders.enqueue_all([("customer-7", None::<&str>)]).await;
/// # }
/// ```
pub trait KeyValue {
    /// Returns the key. `None` is null.
    fn key(&self) -> Option<&[u8]>;

    /// Returns the value. `None` is null, a tombstone.
    fn value(&self) -> Option<&[u8]>;
}

impl<V: Part> KeyValue for V {
    #[inline]
    fn key(&self) -> Option<&[u8]> {
        None
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        self.part()
    }
}

impl<K: Part, V: Part> KeyValue for (K, V) {
    #[inline]
    fn key(&self) -> Option<&[u8]> {
        self.0.part()
    }

    #[inline]
    fn value(&self) -> Option<&[u8]> {
        self.1.part()
    }
}

impl<P: Part> Part for Option<P> {
    #[inline]
    fn part(&self) -> Option<&[u8]> {
        self.as_ref().and_then(Part::part)
    }
}

impl<P: Part + ?Sized> Part for &P {
    #[inline]
    fn part(&self) -> Option<&[u8]> {
        (**self).part()
    }
}

impl Part for [u8] {
    #[inline]
    fn part(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<const N: usize> Part for [u8; N] {
    #[inline]
    fn part(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Part for str {
    #[inline]
    fn part(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl Part for String {
    #[inline]
    fn part(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl Part for Vec<u8> {
    #[inline]
    fn part(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Part for Bytes {
    #[inline]
    fn part(&self) -> Option<&[u8]> {
        Some(self)
    }
}
