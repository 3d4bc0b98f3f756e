//! Decodes the subscriptions and assignments that classic members of type `consumer` exchange.

use milena_core::{TopicName, TopicPartition};

use crate::answers::places;

/// Returns the topics of a subscription. Empty if the bytes cannot be decoded.
pub(super) fn subscription(bytes: &[u8]) -> Vec<TopicName> {
    let mut rest = Bytes(bytes);
    let mut read = || {
        rest.i16()?;
        let count = rest.i32()?;
        (0..count.max(0))
            .map(|_| rest.text().map(TopicName::from))
            .collect::<Option<Vec<_>>>()
    };
    read().unwrap_or_default()
}

/// Returns the partitions of an assignment. Empty if the bytes cannot be decoded.
pub(super) fn assignment(bytes: &[u8]) -> Vec<TopicPartition> {
    let mut rest = Bytes(bytes);
    let mut topics: Vec<(&str, Vec<i32>)> = Vec::new();
    let mut read = || {
        rest.i16()?;
        for _ in 0..rest.i32()?.max(0) {
            let topic = rest.text()?;
            let count = rest.i32()?.max(0);
            let partitions = (0..count).map(|_| rest.i32()).collect::<Option<Vec<_>>>()?;
            topics.push((topic, partitions));
        }
        Some(())
    };
    if read().is_none() {
        return Vec::new();
    }
    places(
        topics
            .iter()
            .map(|(topic, partitions)| (*topic, &partitions[..])),
    )
}

/// A cursor over bytes. They come from other clients, so counts in them are not trusted and reserve
/// no memory.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(*self.take(4)?.first_chunk()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.i16()?).ok()?;
        std::str::from_utf8(self.take(len)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_in_the_order_of_its_partitions() {
        let bytes = b"\0\x01\0\0\0\x02\0\x01b\0\0\0\x02\0\0\0\x03\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";
        let read: Vec<_> = assignment(bytes).iter().map(ToString::to_string).collect();
        assert_eq!(read, ["a-0", "b-1", "b-3"]);
        assert_eq!(
            subscription(b"\0\0\0\0\0\x01\0\x02hi"),
            [TopicName::from("hi")]
        );
    }

    #[test]
    fn bytes_cut_short_and_counts_too_large_mean_nothing() {
        assert!(assignment(b"\0\x01\x7f\xff\xff\xff").is_empty());
        assert!(assignment(b"\0\x01\0\0\0\x01\0\x01b\x7f\xff\xff\xff\0").is_empty());
        assert!(subscription(b"").is_empty());
    }
}
