//! The metadata that classic members exchange through the coordinator. JoinGroup carries
//! subscriptions, SyncGroup carries assignments.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use milena_core::{Error, ErrorKind, Partition, Result, TopicName, TopicPartition};
use milena_protocol::kafka::protocol::{Decodable, Encodable, StrBytes};
use milena_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use milena_protocol::messages::consumer_protocol_subscription::TopicPartition as OwnedTopic;
use milena_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};

/// A member's subscription, as the leader reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemberSubscription {
    /// Names of the topics that the member wants to read.
    pub(crate) topics: BTreeSet<TopicName>,
    /// Partitions that the member keeps during the rebalance. Empty for an eager member.
    pub(crate) owned: BTreeSet<TopicPartition>,
    /// Generation in which the member owned them. `None` if it sent none.
    pub(crate) generation: Option<i32>,
    /// `client.rack` of the member. `None` if it is not set.
    pub(crate) rack: Option<String>,
    /// Bytes that only the assignor reads. `None` if it has none.
    pub(crate) user_data: Option<Bytes>,
}

/// Encodes a subscription for JoinGroup, in the lowest version that can carry it, so that older
/// clients can read it.
///
/// # References
/// Protocol type `consumer`, ConsumerProtocolSubscription versions 1 to 3.
pub(crate) fn encode_subscription(told: &MemberSubscription) -> Result<Bytes> {
    let names = told.topics.iter();
    let owned = by_topic(&told.owned)
        .into_iter()
        .map(|(topic, partitions)| {
            OwnedTopic::default()
                .with_topic(StrBytes::from_string(topic.to_string()).into())
                .with_partitions(partitions)
        });
    let version = match (&told.rack, told.generation) {
        (Some(_), _) => 3,
        (None, Some(_)) => 2,
        (None, None) => 1,
    };
    let mut message = ConsumerProtocolSubscription::default()
        .with_topics(
            names
                .map(|topic| StrBytes::from_string(topic.to_string()))
                .collect(),
        )
        .with_user_data(told.user_data.clone())
        .with_owned_partitions(owned.collect());
    if version >= 2 {
        message.generation_id = told.generation.unwrap_or(-1);
    }
    if version >= 3 {
        message.rack_id = told.rack.clone().map(StrBytes::from_string);
    }
    encode(&message, version)
}

/// Decodes a member's subscription, in any version.
pub(crate) fn decode_subscription(bytes: &Bytes) -> Result<MemberSubscription> {
    let is_whole = guard(bytes, Shape::Subscription)?;
    // kafka-go claims version 1 and leaves out the owned partitions. Read as version 0, its bytes
    // are a valid subscription that owns nothing.
    let newest = if is_whole { 3 } else { 0 };
    let message: ConsumerProtocolSubscription = decode(bytes, newest)?;
    let topics = message.topics.iter();
    let mut owned = BTreeSet::new();
    for topic in &message.owned_partitions {
        let name = TopicName::from(topic.topic.as_str());
        // Skip negative partition numbers. Another member's mistake must not end this one.
        let numbers = topic.partitions.iter().copied();
        owned.extend(
            numbers
                .filter_map(Partition::from_wire)
                .map(|partition| TopicPartition::new(&name, partition)),
        );
    }
    Ok(MemberSubscription {
        topics: topics.map(|topic| topic.as_str().into()).collect(),
        owned,
        generation: (message.generation_id >= 0).then_some(message.generation_id),
        rack: message.rack_id.map(|rack| rack.to_string()),
        user_data: message.user_data,
    })
}

/// Encodes a member's assignment for SyncGroup.
///
/// # References
/// Protocol type `consumer`, ConsumerProtocolAssignment version 1.
pub(crate) fn encode_assignment(partitions: &[TopicPartition]) -> Result<Bytes> {
    let topics = by_topic(partitions).into_iter().map(|(topic, partitions)| {
        AssignedTopic::default()
            .with_topic(StrBytes::from_string(topic.to_string()).into())
            .with_partitions(partitions)
    });
    let message = ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect());
    // Clients of Kafka 2.4 and newer can read version 1. Later versions add no fields.
    encode(&message, 1)
}

/// Groups partition numbers by topic.
fn by_topic<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> BTreeMap<&'a TopicName, Vec<i32>> {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for place in partitions {
        let list = topics.entry(&place.topic).or_default();
        list.push(place.partition.to_wire());
    }
    topics
}

/// Decodes the partitions of an assignment, each once. No bytes at all mean no partitions.
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

/// Encodes a message after its version, as the protocol type `consumer` demands.
fn encode(message: &impl Encodable, version: i16) -> Result<Bytes> {
    let mut out = BytesMut::new();
    out.put_i16(version);
    message.encode(&mut out, version).map_err(|cause| {
        let what = format!("the group's metadata cannot be written: {cause}");
        Error::new(ErrorKind::Config, what)
    })?;
    Ok(out.freeze())
}

/// Decodes a message by the version before it. A version above `newest` is read as `newest`.
fn decode<M: Decodable>(bytes: &Bytes, newest: i16) -> Result<M> {
    let mut bytes = bytes.clone();
    let version = bytes.try_get_i16().map_err(|_| bad("no version"))?;
    if version < 0 {
        return Err(bad("a negative version"));
    }
    // Newer versions only append fields. These fields are not read.
    M::decode(&mut bytes, version.min(newest)).map_err(|cause| bad(&cause.to_string()))
}

#[derive(Clone, Copy)]
enum Shape {
    Subscription,
    Assignment,
}

/// Checks the counts of the leading lists against the bytes that are present, before the decoder
/// reserves memory by them. Another member wrote these bytes, not the broker.
///
/// Returns `false` if a subscription ends before the fields that its version adds.
fn guard(bytes: &Bytes, shape: Shape) -> Result<bool> {
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
        Shape::Assignment => topics(&mut rest, true)?,
        Shape::Subscription => {
            topics(&mut rest, false)?;
            let len = usize::try_from(rest.try_get_i32().map_err(short)?).unwrap_or(0);
            rest = rest.get(len..).ok_or_else(|| bad("bytes cut short"))?;
            if version >= 1 && rest.is_empty() {
                return Ok(false);
            }
            if version >= 1 {
                topics(&mut rest, true)?;
            }
        }
    }
    Ok(true)
}

fn bad(what: &str) -> Error {
    let what = format!("the group's metadata cannot be read: {what}");
    Error::new(ErrorKind::Decode, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(topics: &[&str]) -> MemberSubscription {
        MemberSubscription {
            topics: topics.iter().map(|topic| (*topic).into()).collect(),
            ..MemberSubscription::default()
        }
    }

    fn full() -> MemberSubscription {
        MemberSubscription {
            owned: [TopicPartition::new("ab", 2), TopicPartition::new("ab", 5)].into(),
            generation: Some(7),
            rack: Some("r".into()),
            user_data: Some(Bytes::from_static(b"u")),
            ..of(&["ab"])
        }
    }

    #[test]
    fn a_subscription_comes_back_as_it_was() {
        for told in [of(&["orders", "payments"]), full()] {
            let bytes = encode_subscription(&told).unwrap();
            assert_eq!(decode_subscription(&bytes).unwrap(), told);
        }
    }

    #[test]
    fn a_subscription_has_the_bytes_that_kafka_defines_in_the_lowest_version_that_carries_it() {
        let bytes = encode_subscription(&of(&["ab"])).unwrap();
        // Version, one topic, its length and name, null user data, no owned partitions.
        let expected = b"\0\x01\0\0\0\x01\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(&bytes[..], expected);
        let mut told = full();
        let bytes = encode_subscription(&told).unwrap();
        // Then user data, one owned topic with two partitions, the generation, the rack.
        let version_3 = b"\0\x03\0\0\0\x01\0\x02ab\0\0\0\x01u\0\0\0\x01\0\x02ab\0\0\0\x02\0\0\0\x02\0\0\0\x05\0\0\0\x07\0\x01r";
        assert_eq!(&bytes[..], version_3);
        told.rack = None;
        let bytes = encode_subscription(&told).unwrap();
        assert_eq!(&bytes[..2], b"\0\x02");
        assert_eq!(&bytes[2..], &version_3[2..version_3.len() - 3]);
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
        assert_eq!(decode_subscription(&old).unwrap(), of(&["t"]));
        let new = Bytes::from_static(
            b"\0\x09\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0\0\0\0\x07\0\x01r+more",
        );
        let read = decode_subscription(&new).unwrap();
        assert_eq!(read.topics, of(&["t"]).topics);
        assert_eq!(
            (read.generation, read.rack.as_deref()),
            (Some(7), Some("r"))
        );
    }

    #[test]
    fn a_subscription_that_claims_version_1_and_leaves_out_what_it_owns_owns_nothing() {
        let short = Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x01u");
        let mut told = of(&["t"]);
        told.user_data = Some(Bytes::from_static(b"u"));
        assert_eq!(decode_subscription(&short).unwrap(), told);
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
