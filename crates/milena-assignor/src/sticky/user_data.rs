//! User data that sticky members send to their leader, in Kafka's layouts.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use milena_core::{Partition, TopicName, TopicPartition};

/// Encodes user data of `sticky`, version 1. It holds the topics with their partitions, then the
/// generation. `None` without a generation.
pub(super) fn encode_previous(
    assigned: &BTreeSet<TopicPartition>,
    generation: Option<i32>,
) -> Option<Bytes> {
    let generation = generation?;
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for place in assigned {
        let list = topics.entry(&place.topic).or_default();
        list.push(place.partition.to_wire());
    }
    let mut out = BytesMut::new();
    out.put_i32(i32::try_from(topics.len()).ok()?);
    for (topic, partitions) in topics {
        out.put_i16(i16::try_from(topic.len()).ok()?);
        out.put_slice(topic.as_bytes());
        out.put_i32(i32::try_from(partitions.len()).ok()?);
        for partition in partitions {
            out.put_i32(partition);
        }
    }
    out.put_i32(generation);
    Some(out.freeze())
}

/// Decodes versions 0 (without a generation) and 1. `None` for any other bytes.
pub(super) fn decode_previous(bytes: &Bytes) -> Option<(BTreeSet<TopicPartition>, Option<i32>)> {
    let mut rest: &[u8] = bytes;
    let mut owned = BTreeSet::new();
    for _ in 0..rest.try_get_i32().ok()?.max(0) {
        let len = usize::try_from(rest.try_get_i16().ok()?).ok()?;
        let (name, behind) = rest.split_at_checked(len)?;
        let topic = TopicName::from(std::str::from_utf8(name).ok()?);
        rest = behind;
        for _ in 0..rest.try_get_i32().ok()?.max(0) {
            let partition = Partition::from_wire(rest.try_get_i32().ok()?)?;
            owned.insert(TopicPartition::new(&topic, partition));
        }
    }
    let generation = rest
        .try_get_i32()
        .ok()
        .filter(|generation| *generation >= 0);
    Some((owned, generation))
}

/// Encodes user data of `cooperative-sticky`. It holds the generation, or -1 if there is none.
pub(super) fn encode_generation(generation: Option<i32>) -> Bytes {
    Bytes::copy_from_slice(&generation.unwrap_or(-1).to_be_bytes())
}

/// Decodes user data of `cooperative-sticky`. `None` if it holds no generation.
pub(super) fn decode_generation(mut bytes: &[u8]) -> Option<i32> {
    let generation = bytes.try_get_i32().ok()?;
    (generation >= 0).then_some(generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assignment_before_has_the_bytes_that_kafka_defines_and_comes_back() {
        let owned: BTreeSet<_> =
            [TopicPartition::new("ab", 0), TopicPartition::new("ab", 3)].into();
        let bytes = encode_previous(&owned, Some(7)).unwrap();
        // One topic, its length and name, two partitions, the generation.
        let expected = b"\0\0\0\x01\0\x02ab\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\x07";
        assert_eq!(&bytes[..], expected);
        assert_eq!(decode_previous(&bytes), Some((owned.clone(), Some(7))));
        let version_0 = bytes.slice(..bytes.len() - 4);
        assert_eq!(decode_previous(&version_0), Some((owned, None)));
        assert_eq!(encode_previous(&BTreeSet::new(), None), None);
    }

    #[test]
    fn a_generation_is_four_bytes_and_none_is_minus_one() {
        assert_eq!(&encode_generation(Some(5))[..], b"\0\0\0\x05");
        assert_eq!(decode_generation(&encode_generation(None)), None);
        assert_eq!(decode_generation(b"\0\0\0\x05"), Some(5));
        assert_eq!(decode_generation(b"\0\0"), None);
    }

    #[test]
    fn hostile_user_data_is_none_and_never_a_panic() {
        for bytes in [
            &b""[..],
            b"\x7f\xff\xff\xff",
            b"\0\0\0\x01\x7f\xff",
            b"\0\0\0\x01\xff\xff",
            b"\0\0\0\x01\0\x01\xff\0\0\0\x01",
            b"\0\0\0\x01\0\x01t\x7f\xff\xff\xff\0\0\0\x01",
            b"\0\0\0\x01\0\x01t\0\0\0\x01\xff\xff\xff\xff",
        ] {
            assert_eq!(decode_previous(&Bytes::from_static(bytes)), None);
        }
    }
}
