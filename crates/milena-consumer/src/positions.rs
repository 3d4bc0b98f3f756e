//! The task that finds where to begin: the group's committed offset, else the log's start or end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{
    Error, ErrorCode, ErrorKind, Event, LeaderEpoch, Offset, Result, Timestamp, TopicName,
    TopicPartition,
};
use milena_pool::Role;
use milena_protocol::ApiKey;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use milena_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use tokio::time::{Instant, sleep, timeout_at};

use crate::committing::OffsetAndMetadata;
use crate::core::{Core, End};
use crate::member::{Membership, pulse};
use crate::partition::{Partition, Place};
use crate::settings::OffsetReset;
use crate::{query, truncation};

/// Looks positions up as they are wanted, until it is dropped.
pub(crate) async fn run(core: Arc<Core>) {
    let mut attempt = 0;
    loop {
        let wanted = Wanted::of(&core);
        if wanted.is_empty() {
            attempt = 0;
            core.lookup.notified().await;
            continue;
        }
        // Side by side: a coordinator that is away keeps nobody from asking leaders.
        let (committed, looked_up, validated) = tokio::join!(
            from_group(&core, wanted.committed),
            from_log(&core, wanted.lookups),
            validate(&core, wanted.unsure),
        );
        core.fetch.notify_one();
        match committed.and(looked_up).and(validated) {
            Ok(()) => attempt = 0,
            Err(error)
                if error.is_retriable()
                    || error.kind() == ErrorKind::State
                    || is_about_the_member(&error) =>
            {
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

/// A partition, and the turn that its answer must still find.
type Turned = (Arc<Partition>, u64);

/// What is to be asked.
#[derive(Default)]
struct Wanted {
    committed: Vec<Turned>,
    lookups: Vec<(Turned, OffsetReset)>,
    unsure: Vec<(Turned, Offset, LeaderEpoch)>,
}

impl Wanted {
    fn of(core: &Core) -> Self {
        let mut wanted = Self::default();
        for partition in core.partitions() {
            match partition.where_to_fetch() {
                (Place::Committed, turn) => wanted.committed.push((partition, turn)),
                // What has no answer was told to the reader; only a seek helps.
                (Place::Lookup(OffsetReset::None) | Place::At(_), _) => {}
                (Place::Lookup(reset), turn) => wanted.lookups.push(((partition, turn), reset)),
                (Place::Unsure(offset, epoch), turn) => {
                    wanted.unsure.push(((partition, turn), offset, epoch));
                }
            }
        }
        wanted
    }

    fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.lookups.is_empty() && self.unsure.is_empty()
    }
}

/// What the group committed for each of `places`, as the coordinator answers.
///
/// Where the coordinator assigns, it is told who asks: one that was fenced meanwhile must not begin where others have gone on (KIP-848).
///
/// # Errors
/// Why it did not answer for all.
pub(crate) async fn committed(
    core: &Core,
    places: &[TopicPartition],
) -> Result<HashMap<TopicPartition, Found>> {
    let mut memberships = core.membership.subscribe();
    let patience = Instant::now() + NEWER;
    loop {
        let known = memberships.borrow_and_update().clone();
        let asking = known.clone().filter(|_| is_coordinated(core));
        let error = match ask(core, places, asking.as_ref()).await {
            Err(error) if error.code() == Some(ErrorCode::STALE_MEMBER_EPOCH) => error,
            other => return other,
        };
        // The answer to a heartbeat that raises the epoch is on its way.
        let newer = memberships.wait_for(|now| *now != known);
        if !matches!(timeout_at(patience, newer).await, Ok(Ok(_))) {
            return Err(error);
        }
    }
}

async fn ask(
    core: &Core,
    places: &[TopicPartition],
    asking: Option<&Membership>,
) -> Result<HashMap<TopicPartition, Found>> {
    let connection = core.coordinator(Role::Heartbeat).await?;
    let version = connection.versions().negotiate(ApiKey::OffsetFetch)?;
    let group = core.settings.group_name();
    let request = committed_request(group, asking, places, version);
    let limit = (core.settings.session_timeout / 3).min(connection.request_timeout());
    let answer = connection.call_version(&request, version, limit).await;
    let answer = answer.inspect_err(|_| core.relocate())?;
    read_committed(group, &answer, version).inspect_err(|error| {
        if error.code().is_some_and(ErrorCode::is_stale_coordinator) {
            core.relocate();
        }
        if let Some(asking) = asking.filter(|_| is_about_the_member(error)) {
            core.tell_verdict(asking, pulse(error.code()));
        }
    })
}

/// Whether the coordinator assigns, and holds who asks against its members.
fn is_coordinated(core: &Core) -> bool {
    core.group.coordinated.load(Ordering::Acquire)
}

/// Whether the coordinator does not know the member, or not with this epoch: the group's task hears of it, and what was asked is asked
/// again.
fn is_about_the_member(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID)
    )
}

/// Begins where the group committed; where it did not, the log is looked at next.
async fn from_group(core: &Core, partitions: Vec<Turned>) -> Result<()> {
    if partitions.is_empty() {
        return Ok(());
    }
    if is_coordinated(core) && core.membership.borrow().is_none() {
        let what = "the consumer is no member of its group now";
        return Err(Error::new(ErrorKind::State, what));
    }
    let places: Vec<_> = partitions.iter().map(|(p, _)| p.place().clone()).collect();
    let committed = committed(core, &places).await.inspect_err(|error| {
        core.lookups_failed(partitions.iter().map(|(partition, _)| partition), error);
    })?;
    let mut worst = Ok(());
    for (partition, turn) in partitions {
        let found = committed.get(partition.place());
        match found {
            Some(Ok(Some(found))) => {
                let place = match found.leader_epoch {
                    Some(epoch) => Place::Unsure(found.offset, epoch),
                    None => Place::At(found.offset),
                };
                if partition.resolve(turn, place, found.leader_epoch) {
                    partition.note_committed(found.offset);
                    core.lookup.notify_one();
                }
            }
            Some(Ok(None)) => begin(core, &partition, turn),
            Some(Err(code)) => {
                let error = Error::broker(*code).api("OffsetFetch");
                let error = error.at(partition.place());
                core.lookup_failed(&partition, &error);
                worst = Err(error);
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

fn committed_request(
    group: &str,
    asking: Option<&Membership>,
    places: &[TopicPartition],
    version: i16,
) -> OffsetFetchRequest {
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
        let mut entry = OffsetFetchRequestGroup::default()
            .with_group_id(group.into())
            .with_topics(Some(topics.collect()));
        if let Some(asking) = asking.filter(|_| version >= MEMBERS_FROM) {
            entry.member_id = Some(StrBytes::from_string(asking.member.to_string()));
            entry.member_epoch = asking.generation;
        }
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
pub(crate) type Found = Result<Option<OffsetAndMetadata>, ErrorCode>;

fn read_committed(
    group: &str,
    answer: &OffsetFetchResponse,
    version: i16,
) -> Result<HashMap<TopicPartition, Found>> {
    let mut found = HashMap::new();
    let mut note = |topic: &str, partition: i32, told: (i16, i64, i32, Option<&StrBytes>)| {
        let Some(partition) = milena_core::Partition::from_wire(partition) else {
            return;
        };
        let (code, offset, epoch, metadata) = told;
        let entry = match ErrorCode::from_wire(code) {
            Some(code) => Err(code),
            None => Ok(Offset::from_wire(offset).map(|offset| OffsetAndMetadata {
                offset,
                leader_epoch: LeaderEpoch::from_wire(epoch),
                metadata: metadata.map_or("", |text| text.as_str()).into(),
            })),
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
                    let metadata = p.metadata.as_ref();
                    let told = (
                        p.error_code,
                        p.committed_offset,
                        p.committed_leader_epoch,
                        metadata,
                    );
                    note(&topic.name, p.partition_index, told);
                }
            }
        }
    } else {
        for topic in &answer.topics {
            for p in &topic.partitions {
                let metadata = p.metadata.as_ref();
                let told = (
                    p.error_code,
                    p.committed_offset,
                    p.committed_leader_epoch,
                    metadata,
                );
                note(&topic.name, p.partition_index, told);
            }
        }
    }
    match ErrorCode::from_wire(code) {
        Some(code) => Err(Error::broker(code).api("OffsetFetch").group(group)),
        None => Ok(found),
    }
}

/// Asks the leaders for the first offset, the one behind the last, or that of a time.
async fn from_log(core: &Core, lookups: Vec<(Turned, OffsetReset)>) -> Result<()> {
    let now = (core.settings.clock)();
    let questions = lookups
        .iter()
        .map(|((partition, _), reset)| (partition.place().clone(), time_of(*reset, now)));
    let mut listed = query::list_offsets(core, questions.collect()).await;
    let mut worst = Ok(());
    for ((partition, turn), reset) in lookups {
        let place = partition.place();
        let by_time = matches!(reset, OffsetReset::Timestamp(_) | OffsetReset::Duration(_));
        match listed.remove(place) {
            Some(Ok((Some(offset), _, _))) => {
                let before = partition.reset_from();
                if partition.resolve(turn, Place::At(offset), None)
                    && let Some(before) = before
                {
                    tracing::warn!(partition = %place, from = %before, to = %offset, "the position was out of range and is reset");
                    core.observers().emit(|| Event::OffsetReset {
                        group: core.settings.group_name(),
                        partition: place,
                        from: before.to_wire(),
                        to: offset.to_wire(),
                    });
                }
            }
            Some(Ok((None, _, _))) if by_time => {
                // All records are older: what comes next is the first that is not.
                partition.resolve(turn, Place::Lookup(OffsetReset::Latest), None);
                core.lookup.notify_one();
            }
            Some(Ok((None, _, _))) | None => {
                let what = "the answer gives no offset";
                worst = Err(Error::new(ErrorKind::State, what).at(place));
            }
            Some(Err(error)) => {
                core.lookup_failed(&partition, &error);
                worst = Err(error);
            }
        }
    }
    worst
}

/// Asks the leaders where the epochs ended that positions were read in: a log that was cut since is noticed (KIP-320).
async fn validate(core: &Core, positions: Vec<(Turned, Offset, LeaderEpoch)>) -> Result<()> {
    let questions = positions
        .iter()
        .map(|((partition, _), _, epoch)| (partition.place().clone(), *epoch));
    let mut ends = query::epoch_ends(core, questions.collect()).await;
    let mut worst = Ok(());
    for ((partition, turn), offset, epoch) in positions {
        match ends.remove(partition.place()) {
            Some(Ok(Some((_, end)))) if end >= offset => partition.validated(turn),
            Some(Ok(Some((_, end)))) => truncation::found(core, &partition, turn, Some(end)),
            Some(Ok(None)) => truncation::found(core, &partition, turn, None),
            Some(Err(error)) if error.kind() == ErrorKind::Unsupported => {
                // A broker that cannot tell: as before KIP-320.
                partition.validated(turn);
            }
            Some(Err(error)) => {
                core.lookup_failed(&partition, &error);
                worst = Err(error);
            }
            None => {
                let what = "an epoch was asked for and not answered";
                let error = Error::new(ErrorKind::State, what).at(partition.place());
                worst = Err(error.offset(offset));
                tracing::debug!(%epoch, "no answer about an epoch");
            }
        }
    }
    worst
}

/// What ListOffsets is asked for.
fn time_of(reset: OffsetReset, now: Timestamp) -> i64 {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    match reset {
        OffsetReset::Latest => query::LATEST,
        OffsetReset::Earliest | OffsetReset::None => query::EARLIEST,
        OffsetReset::Timestamp(time) => time.to_millis().max(0),
        OffsetReset::Duration(back) => now.to_millis().saturating_sub(millis(back)).max(0),
    }
}

/// The first version of OffsetFetch that lists groups (KIP-709).
const GROUPS_FROM: i16 = 8;
/// The first that says which member asks (KIP-848).
const MEMBERS_FROM: i16 = 9;
/// How long to wait for the epoch that made another stale.
const NEWER: Duration = Duration::from_secs(5);
