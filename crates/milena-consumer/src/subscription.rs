//! What classic members tell each other through the coordinator: subscriptions in JoinGroup, assignments in SyncGroup.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use milena_core::{Error, ErrorKind, Partition, Result, TopicName, TopicPartition};
use milena_protocol::kafka::protocol::{Decodable, Encodable, StrBytes};
use milena_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use milena_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};

/// A member's subscription, as JoinGroup carries it.
///
/// # References
/// Protocol type `consumer`, ConsumerProtocolSubscription version 1.
pub(crate) fn encode_subscription(topics: &BTreeSet<TopicName>) -> Result<Bytes> {
    let message = ConsumerProtocolSubscription::default().with_topics(
        topics
            .iter()
            .map(|topic| StrBytes::from_string(topic.to_string()))
            .collect(),
    );
    encode(&message)
}

/// The topics that a member subscribed to, whatever version it wrote.
pub(crate) fn decode_subscription(bytes: &Bytes) -> Result<BTreeSet<TopicName>> {
    guard(bytes, Shape::Subscription)?;
    let message: ConsumerProtocolSubscription = decode(bytes, 3)?;
    let topics = message.topics.iter();
    Ok(topics.map(|topic| topic.as_str().into()).collect())
}

/// What a member is assigned, as SyncGroup carries it.
///
/// # References
/// Protocol type `consumer`, ConsumerProtocolAssignment version 1.
pub(crate) fn encode_assignment(partitions: &[TopicPartition]) -> Result<Bytes> {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for place in partitions {
        let list = topics.entry(&place.topic).or_default();
        list.push(place.partition.to_wire());
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        AssignedTopic::default()
            .with_topic(StrBytes::from_string(topic.to_string()).into())
            .with_partitions(partitions)
    });
    encode(&ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect()))
}

/// The partitions of an assignment, each once; no bytes at all mean none.
pub(crate) fn decode_assignment(bytes: &Bytes) -> Result<BTreeSet<TopicPartition>> {
    if bytes.is_empty() {
        return Ok(BTreeSet::new());
    }
    guard(bytes, Shape::Assignment)?;
    let message: ConsumerProtocolAssignment = decode(bytes, 3)?;
    let mut partitions = BTreeSet::new();
    for topic in &message.assigned_partitions {
        let name = TopicName::from(topic.topic.as_str());
        for raw in &topic.partitions {
            let partition =
                Partition::from_wire(*raw).ok_or_else(|| bad("a negative partition"))?;
            partitions.insert(TopicPartition::new(&name, partition));
        }
    }
    Ok(partitions)
}

fn encode(message: &impl Encodable) -> Result<Bytes> {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    message.encode(&mut out, VERSION).map_err(|cause| {
        let what = format!("the group's metadata cannot be written: {cause}");
        Error::new(ErrorKind::Config, what)
    })?;
    Ok(out.freeze())
}

fn decode<M: Decodable>(bytes: &Bytes, newest: i16) -> Result<M> {
    let mut bytes = bytes.clone();
    let version = bytes.try_get_i16().map_err(|_| bad("no version"))?;
    if version < 0 {
        return Err(bad("a negative version"));
    }
    // Newer versions only append fields, which are left unread.
    M::decode(&mut bytes, version.min(newest)).map_err(|cause| bad(&cause.to_string()))
}

#[derive(Clone, Copy)]
enum Shape {
    Subscription,
    Assignment,
}

/// Checks the counts of the leading list against the bytes that are there, before anything is reserved by them: another member,
/// not the broker, wrote these bytes.
fn guard(bytes: &Bytes, shape: Shape) -> Result<()> {
    let mut rest: &[u8] = bytes;
    let short = |_| bad("bytes cut short");
    let version = rest.try_get_i16().map_err(short)?;
    let topics = |rest: &mut &[u8], lists: bool| -> Result<()> {
        let count = rest.try_get_i32().map_err(short)?;
        for _ in 0..count.max(0) {
            let len = usize::try_from(rest.try_get_i16().map_err(short)?)
                .map_err(|_| bad("a null topic"))?;
            *rest = rest.get(len..).ok_or_else(|| bad("bytes cut short"))?;
            if lists {
                let count = usize::try_from(rest.try_get_i32().map_err(short)?).unwrap_or(0);
                let len = count
                    .checked_mul(4)
                    .ok_or_else(|| bad("a count too large"))?;
                *rest = rest.get(len..).ok_or_else(|| bad("bytes cut short"))?;
            }
        }
        Ok(())
    };
    match shape {
        Shape::Assignment => topics(&mut rest, true),
        Shape::Subscription => {
            topics(&mut rest, false)?;
            let len = usize::try_from(rest.try_get_i32().map_err(short)?).unwrap_or(0);
            rest = rest.get(len..).ok_or_else(|| bad("bytes cut short"))?;
            if version >= 1 {
                topics(&mut rest, true)?;
            }
            Ok(())
        }
    }
}

fn bad(what: &str) -> Error {
    let what = format!("the group's metadata cannot be read: {what}");
    Error::new(ErrorKind::Decode, what)
}

/// Version 1 is what all clients of Kafka 2.4 and above can read; later ones serve cooperative assignors.
const VERSION: i16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_comes_back_as_it_was() {
        let topics: BTreeSet<TopicName> = ["orders".into(), "payments".into()].into();
        let bytes = encode_subscription(&topics).unwrap();
        assert_eq!(decode_subscription(&bytes).unwrap(), topics);
    }

    #[test]
    fn a_subscription_has_the_bytes_that_kafka_defines() {
        let bytes = encode_subscription(&["ab".into()].into()).unwrap();
        // version, one topic, its length and name, null user data, no owned partitions
        let expected = b"\0\x01\0\0\0\x01\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(&bytes[..], expected);
    }

    #[test]
    fn an_assignment_comes_back_as_it_was() {
        let partitions = [
            TopicPartition::new("a", 0),
            TopicPartition::new("a", 3),
            TopicPartition::new("b", 1),
        ];
        let bytes = encode_assignment(&partitions).unwrap();
        assert_eq!(decode_assignment(&bytes).unwrap(), partitions.into());
        assert!(decode_assignment(&Bytes::new()).unwrap().is_empty());
    }

    #[test]
    fn a_subscription_of_version_0_and_of_a_later_version_is_read() {
        let old = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff");
        assert_eq!(decode_subscription(&old).unwrap(), ["t".into()].into());
        let new = Bytes::from_static(
            b"\0\x09\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0\0\0\0\x07\0\x01r+more",
        );
        assert_eq!(decode_subscription(&new).unwrap(), ["t".into()].into());
    }

    #[test]
    fn hostile_bytes_are_an_error_and_never_a_panic_or_a_large_reserve() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\x01\x7f\xff\xff\xff",
            b"\0\x01\0\0\0\x01\xff\xff",
            b"\0\x01\0\0\0\x01\0\x01t\x7f\xff\xff\xff",
            b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\x7f\xff\xff\xff",
        ] {
            let bytes = Bytes::from_static(bytes);
            assert!(decode_subscription(&bytes).is_err());
            let _ = decode_assignment(&bytes);
        }
        assert!(decode_assignment(&Bytes::from_static(b"\0\x01\x7f\xff\xff\xff")).is_err());
    }
}
