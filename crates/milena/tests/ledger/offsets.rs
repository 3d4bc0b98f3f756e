//! The committed offsets in the order of their log, which is the topic `__consumer_offsets`.
//!
//! A look at a group through its coordinator does not show that order. A broker that was stopped
//! and goes on answers for a few seconds as the coordinator that it was, with old offsets.

use std::collections::BTreeMap;

use milena::admin::OffsetSpec;
use milena::consumer::StartAt;
use milena::{Client, TopicPartition};

/// The topic in which coordinators keep committed offsets.
const TOPIC: &str = "__consumer_offsets";

/// One record of the log that is a commit.
struct Commit<'a> {
    group: &'a str,
    topic: &'a str,
    partition: u32,
    offset: u64,
}

/// Returns each commit of `group` that lies below an earlier one of the same partition of `topic`.
pub(crate) async fn gone_back(client: &Client, group: &str, topic: &str) -> Vec<String> {
    let mut latest: BTreeMap<u32, u64> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (partition, offset) in commits(client, group, topic).await {
        seen += 1;
        let before = latest.insert(partition, offset).unwrap_or(0);
        if before > offset {
            wrong.push(format!(
                "{group}: the commit of partition {partition} went from {before} back to {offset}"
            ));
        }
    }
    assert!(seen > 0, "{group} has committed nothing");
    println!("{group}: {seen} commits of partitions in {TOPIC}");
    wrong
}

/// Returns the commits of a group, oldest first. All commits of a group are in one partition.
async fn commits(client: &Client, group: &str, topic: &str) -> Vec<(u32, u64)> {
    let described = client.admin().describe_topics([TOPIC]).await.unwrap();
    let described = described.all().unwrap();
    let count = described[0].partitions.len() as u32;
    let all = (0..count).map(|partition| TopicPartition::new(TOPIC, partition));
    let places = all.clone().map(|place| (place, OffsetSpec::Latest));
    let ends = client.admin().list_offsets(places).await.all().unwrap();
    let mut open: BTreeMap<TopicPartition, u64> = all
        .zip(ends)
        .filter_map(|(place, end)| Some((place, end.offset?.to_wire() as u64)))
        .filter(|(_, end)| *end > 0)
        .collect();
    let consumer = client.assigned_consumer().build().unwrap();
    let from = open.keys().map(|place| (place.clone(), StartAt::Beginning));
    consumer.assign(from.collect::<Vec<_>>());
    let mut found = Vec::new();
    while !open.is_empty() {
        let record = consumer.recv().await.unwrap();
        let place = record.topic_partition();
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        if let Some(commit) = key.zip(value).and_then(|(key, value)| parse(key, value))
            && (commit.group, commit.topic) == (group, topic)
        {
            found.push((commit.partition, commit.offset));
        }
        if open
            .get(&place)
            .is_some_and(|end| record.offset.to_wire() as u64 + 1 >= *end)
        {
            open.remove(&place);
        }
    }
    consumer.close().await;
    found
}

/// Parses a record of a commit. `None` for records of other kinds.
fn parse<'a>(key: &'a [u8], value: &[u8]) -> Option<Commit<'a>> {
    let (version, rest) = key.split_first_chunk::<2>()?;
    if i16::from_be_bytes(*version) > 1 {
        return None;
    }
    let (group, rest) = text(rest)?;
    let (topic, rest) = text(rest)?;
    let partition = u32::from_be_bytes(*rest.first_chunk::<4>()?);
    // The version of the value comes first, and in each of them the offset follows.
    let offset = u64::from_be_bytes(*value.get(2..)?.first_chunk::<8>()?);
    Some(Commit {
        group,
        topic,
        partition,
        offset,
    })
}

/// Reads a text with its length in two bytes before it.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}
