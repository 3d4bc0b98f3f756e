//! The task that finds where to begin: the group's committed offset, else the log's start or end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Error, ErrorCode, ErrorKind, Event, LeaderEpoch, NodeId, Offset, Result, Timestamp, TopicName,
    TopicPartition,
};
use milena_pool::{Role, Target};
use milena_protocol::ApiKey;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use milena_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use milena_protocol::messages::{ListOffsetsRequest, OffsetFetchRequest, OffsetFetchResponse};
use tokio::time::sleep;

use crate::core::{Core, End};
use crate::partition::{Partition, Place};
use crate::settings::OffsetReset;

/// Looks positions up as they are wanted, until it is dropped.
pub(crate) async fn run(core: Arc<Core>) {
    let mut attempt = 0;
    loop {
        let (committed, lookups) = pending(&core);
        if committed.is_empty() && lookups.is_empty() {
            attempt = 0;
            core.lookup.notified().await;
            continue;
        }
        let mut done = Ok(());
        if !committed.is_empty() {
            done = from_group(&core, committed).await;
        }
        if !lookups.is_empty() {
            let looked_up = from_log(&core, lookups).await;
            done = done.and(looked_up);
        }
        core.fetch.notify_one();
        match done {
            Ok(()) => attempt = 0,
            Err(error) if error.is_retriable() || error.kind() == ErrorKind::State => {
                // Never a reset for what only passes: the same is asked again.
                tracing::debug!(%error, "positions are asked for again");
                core.cluster.request_refresh();
                tokio::select! {
                    () = sleep(core.cluster.backoff().delay(attempt)) => {}
                    () = core.lookup.notified() => {}
                }
                attempt += 1;
            }
            Err(error) => {
                core.end(End::Failed(error));
                return;
            }
        }
    }
}

type Turned = (Arc<Partition>, u64);

fn pending(core: &Core) -> (Vec<Turned>, Vec<(Turned, OffsetReset)>) {
    let (mut committed, mut lookups) = (Vec::new(), Vec::new());
    for partition in core.partitions() {
        match partition.where_to_fetch() {
            (Place::Committed, turn) => committed.push((partition, turn)),
            // What has no answer was told to the reader; only a seek helps.
            (Place::Lookup(OffsetReset::None) | Place::At(_), _) => {}
            (Place::Lookup(reset), turn) => lookups.push(((partition, turn), reset)),
        }
    }
    (committed, lookups)
}

/// What the group committed for each of `places`, as the coordinator answers.
///
/// # Errors
/// Why it did not answer for all.
pub(crate) async fn committed(
    core: &Core,
    places: &[TopicPartition],
) -> Result<HashMap<TopicPartition, Found>> {
    let connection = core.coordinator(Role::Heartbeat).await?;
    let version = connection.versions().negotiate(ApiKey::OffsetFetch)?;
    let group = core.settings.group_name();
    let request = committed_request(group, places, version);
    let limit = (core.settings.session_timeout / 3).min(connection.request_timeout());
    let answer = connection.call_version(&request, version, limit).await;
    let answer = answer.inspect_err(|_| core.relocate())?;
    read_committed(group, &answer, version).inspect_err(|error| {
        if error.code().is_some_and(ErrorCode::is_stale_coordinator) {
            core.relocate();
        }
    })
}

/// Begins where the group committed; where it did not, the log is looked at next.
async fn from_group(core: &Core, partitions: Vec<Turned>) -> Result<()> {
    let places: Vec<_> = partitions.iter().map(|(p, _)| p.place().clone()).collect();
    let committed = committed(core, &places).await?;
    let mut worst = Ok(());
    for (partition, turn) in partitions {
        let found = committed.get(partition.place());
        match found {
            Some(Ok(Some((offset, epoch)))) => {
                if partition.resolve(turn, Place::At(*offset), *epoch) {
                    partition.note_committed(*offset);
                }
            }
            Some(Ok(None)) => begin(core, &partition, turn),
            Some(Err(code)) => {
                worst = Err(Error::broker(*code)
                    .api("OffsetFetch")
                    .at(partition.place()));
            }
            None => {
                let what = "the answer leaves out a partition whose committed offset was asked for";
                worst = Err(Error::new(ErrorKind::State, what).at(partition.place()));
            }
        }
    }
    worst
}

/// Nothing was committed.
fn begin(core: &Core, partition: &Partition, turn: u64) {
    let reset = core.settings.offset_reset;
    if partition.resolve(turn, Place::Lookup(reset), None) && reset == OffsetReset::None {
        let what = "the group has committed no offset for the partition and auto.offset.reset is none: seek, or set it";
        let (_, turn) = partition.where_to_fetch();
        partition.fail(
            turn,
            Error::new(ErrorKind::State, what).setting("auto.offset.reset"),
        );
        core.ready.notify_waiters();
    }
    core.lookup.notify_one();
}

fn committed_request(group: &str, places: &[TopicPartition], version: i16) -> OffsetFetchRequest {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for place in places {
        let list = topics.entry(&place.topic).or_default();
        list.push(place.partition.to_wire());
    }
    let group = StrBytes::from_string(group.to_owned());
    // Offsets of open transactions are waited for, else their records would be processed twice.
    let request = OffsetFetchRequest::default().with_require_stable(version >= 7);
    let name = |topic: &TopicName| StrBytes::from_string(topic.to_string()).into();
    if version >= GROUPS_FROM {
        let topics = topics.into_iter().map(|(topic, partitions)| {
            OffsetFetchRequestTopics::default()
                .with_name(name(topic))
                .with_partition_indexes(partitions)
        });
        let entry = OffsetFetchRequestGroup::default()
            .with_group_id(group.into())
            .with_topics(Some(topics.collect()));
        return request.with_groups(vec![entry]);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        OffsetFetchRequestTopic::default()
            .with_name(name(topic))
            .with_partition_indexes(partitions)
    });
    request
        .with_group_id(group.into())
        .with_topics(Some(topics.collect()))
}

/// A committed offset with its epoch, none, or why it is not told.
pub(crate) type Found = Result<Option<(Offset, Option<LeaderEpoch>)>, ErrorCode>;

fn read_committed(
    group: &str,
    answer: &OffsetFetchResponse,
    version: i16,
) -> Result<HashMap<TopicPartition, Found>> {
    let mut found = HashMap::new();
    let mut note = |topic: &str, partition: i32, code: i16, offset: i64, epoch: i32| {
        let Some(partition) = milena_core::Partition::from_wire(partition) else {
            return;
        };
        let entry = match ErrorCode::from_wire(code) {
            Some(code) => Err(code),
            None => {
                Ok(Offset::from_wire(offset).map(|offset| (offset, LeaderEpoch::from_wire(epoch))))
            }
        };
        found.insert(TopicPartition::new(topic, partition), entry);
    };
    let mut code = answer.error_code;
    if version >= GROUPS_FROM {
        for entry in answer
            .groups
            .iter()
            .filter(|entry| entry.group_id.as_str() == group)
        {
            code = entry.error_code;
            for topic in &entry.topics {
                for p in &topic.partitions {
                    note(
                        &topic.name,
                        p.partition_index,
                        p.error_code,
                        p.committed_offset,
                        p.committed_leader_epoch,
                    );
                }
            }
        }
    } else {
        for topic in &answer.topics {
            for p in &topic.partitions {
                note(
                    &topic.name,
                    p.partition_index,
                    p.error_code,
                    p.committed_offset,
                    p.committed_leader_epoch,
                );
            }
        }
    }
    match ErrorCode::from_wire(code) {
        Some(code) => Err(Error::broker(code).api("OffsetFetch").group(group)),
        None => Ok(found),
    }
}

/// Asks the leaders for the first offset or the one behind the last.
async fn from_log(core: &Core, lookups: Vec<(Turned, OffsetReset)>) -> Result<()> {
    let metadata = core.cluster.metadata();
    let mut by_leader: BTreeMap<NodeId, Vec<(Turned, OffsetReset)>> = BTreeMap::new();
    let mut worst = Ok(());
    for lookup in lookups {
        let place = lookup.0.0.place();
        match metadata.leader(place) {
            Some(leader) => by_leader.entry(leader).or_default().push(lookup),
            None => {
                core.cluster.want_topics([place.topic.clone()]);
                worst = Err(Error::broker(ErrorCode::LEADER_NOT_AVAILABLE).at(place));
            }
        }
    }
    for (leader, lookups) in by_leader {
        let asked = ask_leader(core, leader, &lookups).await;
        worst = worst.and(asked);
    }
    worst
}

async fn ask_leader(core: &Core, leader: NodeId, lookups: &[(Turned, OffsetReset)]) -> Result<()> {
    let mut topics: BTreeMap<&TopicName, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for ((partition, _), reset) in lookups {
        let place = partition.place();
        let metadata = core.cluster.metadata();
        let epoch = metadata
            .partition(place)
            .and_then(|known| known.leader_epoch);
        let entry = ListOffsetsPartition::default()
            .with_partition_index(place.partition.to_wire())
            .with_current_leader_epoch(epoch.map_or(-1, LeaderEpoch::to_wire))
            .with_timestamp(time_of(*reset, (core.settings.clock)()));
        topics.entry(&place.topic).or_default().push(entry);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        ListOffsetsTopic::default()
            .with_name(StrBytes::from_string(topic.to_string()).into())
            .with_partitions(partitions)
    });
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_isolation_level(core.settings.isolation.to_wire())
        .with_topics(topics.collect());
    let answer = core.cluster.send(&Target::Node(leader), &request).await?;
    let mut worst = Ok(());
    for ((partition, turn), reset) in lookups {
        let place = partition.place();
        let topic = answer
            .topics
            .iter()
            .find(|topic| place.topic == topic.name.as_str());
        let wire = place.partition.to_wire();
        let entry =
            topic.and_then(|topic| topic.partitions.iter().find(|p| p.partition_index == wire));
        let Some(entry) = entry else {
            let what = "the answer leaves out a partition whose offsets were asked for";
            worst = Err(Error::new(ErrorKind::State, what).at(place));
            continue;
        };
        match (
            ErrorCode::from_wire(entry.error_code),
            Offset::from_wire(entry.offset),
        ) {
            (None, Some(offset)) => {
                let before = partition.reset_from();
                if partition.resolve(*turn, Place::At(offset), None)
                    && let Some(before) = before
                {
                    tracing::warn!(partition = %place, from = %before, to = %offset, "the position was out of range and is reset");
                    core.observers().emit(|| Event::OffsetReset {
                        partition: place,
                        from: before.to_wire(),
                        to: offset.to_wire(),
                    });
                }
            }
            (None, None)
                if matches!(reset, OffsetReset::Timestamp(_) | OffsetReset::Duration(_)) =>
            {
                // All records are older: what comes next is the first that is not.
                partition.resolve(*turn, Place::Lookup(OffsetReset::Latest), None);
                core.lookup.notify_one();
            }
            (None, None) => {
                let what = "the answer gives no offset";
                worst = Err(Error::new(ErrorKind::Decode, what).at(place));
            }
            (Some(code), _) => {
                core.cluster.note_error(code);
                let error = Error::broker(code).api("ListOffsets").at(place);
                worst = Err(if code.is_stale_metadata() && !code.is_retriable() {
                    Error::new(ErrorKind::State, "the leader is not known yet")
                        .at(place)
                        .with_source(error)
                } else {
                    error
                });
            }
        }
    }
    worst
}

/// What ListOffsets is asked for.
fn time_of(reset: OffsetReset, now: Timestamp) -> i64 {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    match reset {
        OffsetReset::Latest => LATEST,
        OffsetReset::Earliest | OffsetReset::None => EARLIEST,
        OffsetReset::Timestamp(time) => time.to_millis().max(0),
        OffsetReset::Duration(back) => now.to_millis().saturating_sub(millis(back)).max(0),
    }
}

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// The first version of OffsetFetch that lists groups (KIP-709).
const GROUPS_FROM: i16 = 8;
