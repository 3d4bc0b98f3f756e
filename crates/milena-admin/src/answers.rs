//! Helpers for requests and answers: error codes, names, and the items of an answer.

use std::collections::BTreeMap;

use milena_core::{
    Error, ErrorCode, ErrorKind, NodeId, Partition, Result, TopicName, TopicPartition,
};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::{self, BrokerId, GroupId};
use uuid::Uuid;

/// Refuses a name that Kafka does not allow, before it is sent.
pub(crate) fn check_name(name: &TopicName) -> Result<()> {
    match name.defect() {
        None => Ok(()),
        Some(defect) => Err(Error::new(ErrorKind::Config, defect).topic(name)),
    }
}

/// Turns a broker's error code and message into an error. Code 0 is no error.
pub(crate) fn check(code: i16, message: Option<&StrBytes>, api: &'static str) -> Result<()> {
    match ErrorCode::from_wire(code) {
        None => Ok(()),
        Some(code) => {
            let words = message
                .map(|text| text.trim_end_matches('.').to_owned())
                .unwrap_or_default();
            Err(Error::new(ErrorKind::Broker(code), words).api(api))
        }
    }
}

/// Creates the error for an item that the answer leaves out.
pub(crate) fn unanswered(api: &'static str) -> Error {
    let what = "the broker's answer leaves out this item";
    Error::new(ErrorKind::Decode, what).api(api)
}

pub(crate) fn wire(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

pub(crate) fn wire_name(name: &TopicName) -> messages::TopicName {
    messages::TopicName(wire(name.as_str()))
}

pub(crate) fn wire_group(group: &str) -> GroupId {
    GroupId(wire(group))
}

pub(crate) fn nodes(ids: &[BrokerId]) -> Vec<NodeId> {
    ids.iter()
        .filter_map(|id| NodeId::from_wire(id.0))
        .collect()
}

/// Returns the topic id. `None` if it is zero, which brokers without topic ids send.
pub(crate) fn known_id(id: Uuid) -> Option<Uuid> {
    (!id.is_nil()).then_some(id)
}

/// Returns the text. `None` if it is empty, which on the wire means that there is none.
pub(crate) fn text(text: &StrBytes) -> Option<String> {
    (!text.is_empty()).then(|| text.to_string())
}

/// Returns the partitions in an answer, sorted. Leaves out negative partition numbers.
pub(crate) fn places<'a>(
    topics: impl IntoIterator<Item = (&'a str, &'a [i32])>,
) -> Vec<TopicPartition> {
    let mut places = Vec::new();
    for (topic, partitions) in topics {
        let topic = TopicName::from(topic);
        let partitions = partitions.iter().copied().filter_map(Partition::from_wire);
        places.extend(partitions.map(|partition| TopicPartition::new(&topic, partition)));
    }
    places.sort();
    places
}

/// Groups items by topic, the form of most requests.
pub(crate) fn by_topic<T>(
    items: impl IntoIterator<Item = (TopicPartition, T)>,
) -> BTreeMap<TopicName, Vec<(i32, T)>> {
    let mut topics: BTreeMap<TopicName, Vec<(i32, T)>> = BTreeMap::new();
    for (place, item) in items {
        let partitions = topics.entry(place.topic).or_default();
        partitions.push((place.partition.to_wire(), item));
    }
    topics
}

/// Returns the result of each partition in the order of `places`. The answer may have another
/// order.
pub(crate) fn each_placed<'a, P: 'a, T>(
    places: impl IntoIterator<Item = &'a TopicPartition>,
    told: &(impl Iterator<Item = (&'a messages::TopicName, &'a [P])> + Clone),
    number: impl Fn(&P) -> i32,
    api: &'static str,
    read: impl Fn(&P) -> Result<T>,
) -> Vec<Result<T>> {
    let of = |place: &TopicPartition| {
        let mut partitions = told
            .clone()
            .filter(|(name, _)| *name.0 == *place.topic)
            .flat_map(|(_, partitions)| partitions);
        let found = partitions.find(|told| number(told) == place.partition.to_wire());
        read(found.ok_or_else(|| unanswered(api))?)
    };
    places.into_iter().map(of).collect()
}
