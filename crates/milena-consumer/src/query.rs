//! Questions to brokers about a log: where it begins and ends, which offset belongs to a time, where an epoch ended.

use std::collections::{BTreeMap, HashMap};

use milena_core::{
    Error, ErrorCode, ErrorKind, LeaderEpoch, NodeId, Offset, Result, Timestamp, TopicName,
    TopicPartition,
};
use milena_pool::Target;
use milena_protocol::fetch::IsolationLevel;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use milena_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use milena_protocol::messages::{ListOffsetsRequest, OffsetForLeaderEpochRequest};
use tokio::time::{Instant, sleep};

use crate::core::Core;
use crate::passing::passes;

/// An offset and what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OffsetAndTimestamp {
    /// The offset of the first record that is not older than was asked for.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// The epoch of the leader that appended it, where known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Where a partition's log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Watermarks {
    /// The offset of the first record that can be read.
    pub low: Offset,
    /// The offset behind the last record that this consumer may see: the last stable offset where it reads committed records only, else
    /// the high watermark.
    pub high: Offset,
}

/// The answer for one partition; an offset of `None` where no record answers the question.
pub(crate) type Listed = Result<Told>;

/// Offset, timestamp and epoch, as far as they were told.
pub(crate) type Told = (Option<Offset>, Option<Timestamp>, Option<LeaderEpoch>);

/// The end of an epoch in a leader's log; `None` where the leader does not know.
pub(crate) type EpochEnd = Result<Option<(LeaderEpoch, Offset)>>;

/// A partition and the time to ask for, on the wire: -1 is the end, -2 the beginning.
pub(crate) type Question = (TopicPartition, i64);

/// Groups by leader; what has none is told as an error that passes.
fn by_leader<Q>(
    core: &Core,
    questions: Vec<Q>,
    place: impl Fn(&Q) -> &TopicPartition,
) -> (BTreeMap<NodeId, Vec<Q>>, Vec<TopicPartition>) {
    let metadata = core.cluster.metadata();
    let mut by_leader: BTreeMap<NodeId, Vec<Q>> = BTreeMap::new();
    let mut leaderless = Vec::new();
    for question in questions {
        match metadata.leader(place(&question)) {
            Some(leader) => by_leader.entry(leader).or_default().push(question),
            None => leaderless.push(place(&question).clone()),
        }
    }
    if !leaderless.is_empty() {
        let topics = leaderless.iter().map(|place| place.topic.clone());
        core.cluster.want_topics(topics);
    }
    (by_leader, leaderless)
}

fn no_leader(place: &TopicPartition) -> Error {
    Error::broker(ErrorCode::LEADER_NOT_AVAILABLE).at(place)
}

fn current_epoch(core: &Core, place: &TopicPartition) -> i32 {
    let metadata = core.cluster.metadata();
    let known = metadata.partition(place);
    known
        .and_then(|known| known.leader_epoch)
        .map_or(-1, LeaderEpoch::to_wire)
}

/// Asks the leaders once; an answer for each partition that was asked about.
pub(crate) async fn list_offsets(
    core: &Core,
    questions: Vec<Question>,
) -> HashMap<TopicPartition, Listed> {
    let left_out = "the answer leaves out a partition whose offsets were asked for";
    ask_leaders(core, questions, left_out, |leader, questions| async move {
        let answer = ask_offsets(core, Some(leader), &questions).await;
        (questions, answer)
    })
    .await
}

/// What a leader was asked, and what it said of each partition.
type Replies<Q, A> = (
    Vec<(TopicPartition, Q)>,
    Result<HashMap<TopicPartition, Result<A>>>,
);

/// Asks the leaders side by side; an answer for each partition, with the error `left_out` where a leader gave none.
async fn ask_leaders<Q, A, F>(
    core: &Core,
    questions: Vec<(TopicPartition, Q)>,
    left_out: &'static str,
    ask: impl Fn(NodeId, Vec<(TopicPartition, Q)>) -> F,
) -> HashMap<TopicPartition, Result<A>>
where
    F: Future<Output = Replies<Q, A>>,
{
    let (by_leader, leaderless) = by_leader(core, questions, |(place, _)| place);
    let mut found = HashMap::new();
    for place in leaderless {
        let error = no_leader(&place);
        found.insert(place, Err(error));
    }
    let asked = by_leader
        .into_iter()
        .map(|(leader, questions)| ask(leader, questions));
    for (questions, answer) in futures_util::future::join_all(asked).await {
        match answer {
            Ok(mut listed) => {
                for (place, _) in questions {
                    let told = listed
                        .remove(&place)
                        .unwrap_or_else(|| Err(Error::new(ErrorKind::State, left_out).at(&place)));
                    found.insert(place, told);
                }
            }
            Err(error) => {
                for (place, _) in questions {
                    let error = error.clone().at(&place);
                    found.insert(place, Err(error));
                }
            }
        }
    }
    found
}

/// The leader of what is asked about, for as long as it leads that: a broker that is away is not waited for once another one leads.
fn leading<A>(leader: Option<NodeId>, questions: &[(TopicPartition, A)]) -> Target {
    let places = questions.iter().map(|(place, _)| place.clone());
    leader.map_or(Target::Any, |leader| {
        Target::Leading(leader, places.collect())
    })
}

/// Asks one broker, or any.
pub(crate) async fn ask_offsets(
    core: &Core,
    leader: Option<NodeId>,
    questions: &[Question],
) -> Result<HashMap<TopicPartition, Listed>> {
    let mut topics: BTreeMap<&TopicName, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (place, time) in questions {
        let entry = ListOffsetsPartition::default()
            .with_partition_index(place.partition.to_wire())
            .with_current_leader_epoch(current_epoch(core, place))
            .with_timestamp(*time);
        topics.entry(&place.topic).or_default().push(entry);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        ListOffsetsTopic::default()
            .with_name(StrBytes::from_string(topic.to_string()).into())
            .with_partitions(partitions)
    });
    let isolation: IsolationLevel = core.settings.isolation;
    let request = ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_isolation_level(isolation.to_wire())
        .with_topics(topics.collect());
    let target = leading(leader, questions);
    let answer = core.cluster.send(&target, &request).await?;
    let mut found = HashMap::new();
    for topic in &answer.topics {
        for entry in &topic.partitions {
            let Some(partition) = milena_core::Partition::from_wire(entry.partition_index) else {
                continue;
            };
            let place = TopicPartition::new(topic.name.as_str(), partition);
            let told = match ErrorCode::from_wire(entry.error_code) {
                None => Ok((
                    Offset::from_wire(entry.offset),
                    Timestamp::from_wire(entry.timestamp),
                    LeaderEpoch::from_wire(entry.leader_epoch),
                )),
                Some(code) => Err(refused(core, code, "ListOffsets", &place)),
            };
            found.insert(place, told);
        }
    }
    Ok(found)
}

/// A refusal that only says that the leader is another, or that metadata is old, passes: it never counts as an answer.
fn refused(core: &Core, code: ErrorCode, api: &'static str, place: &TopicPartition) -> Error {
    core.cluster.note_error(code);
    let error = Error::broker(code).api(api).at(place);
    if code.is_stale_metadata() && !code.is_retriable() {
        let what = "the leader is not known yet";
        return Error::new(ErrorKind::State, what)
            .at(place)
            .with_source(error);
    }
    error
}

/// Asks one broker, or any, where epochs ended (KIP-320).
pub(crate) async fn ask_epochs(
    core: &Core,
    leader: Option<NodeId>,
    questions: &[(TopicPartition, LeaderEpoch)],
) -> Result<HashMap<TopicPartition, EpochEnd>> {
    let mut topics: BTreeMap<&TopicName, Vec<OffsetForLeaderPartition>> = BTreeMap::new();
    for (place, epoch) in questions {
        let entry = OffsetForLeaderPartition::default()
            .with_partition(place.partition.to_wire())
            .with_current_leader_epoch(current_epoch(core, place))
            .with_leader_epoch(epoch.to_wire());
        topics.entry(&place.topic).or_default().push(entry);
    }
    let topics = topics.into_iter().map(|(topic, partitions)| {
        OffsetForLeaderTopic::default()
            .with_topic(StrBytes::from_string(topic.to_string()).into())
            .with_partitions(partitions)
    });
    let request = OffsetForLeaderEpochRequest::default()
        .with_replica_id((-1).into())
        .with_topics(topics.collect());
    let target = leading(leader, questions);
    let answer = core.cluster.send(&target, &request).await?;
    let mut found = HashMap::new();
    for topic in &answer.topics {
        for entry in &topic.partitions {
            let Some(partition) = milena_core::Partition::from_wire(entry.partition) else {
                continue;
            };
            let place = TopicPartition::new(topic.topic.as_str(), partition);
            let told = match ErrorCode::from_wire(entry.error_code) {
                None => Ok(LeaderEpoch::from_wire(entry.leader_epoch)
                    .zip(Offset::from_wire(entry.end_offset))),
                Some(code) => Err(refused(core, code, "OffsetForLeaderEpoch", &place)),
            };
            found.insert(place, told);
        }
    }
    Ok(found)
}

/// Asks until every partition is answered, or the API timeout is over.
///
/// # Errors
/// The first that does not pass, or what was wrong last.
pub(crate) async fn settled(
    core: &Core,
    questions: Vec<Question>,
) -> Result<HashMap<TopicPartition, Told>> {
    let topics = questions.iter().map(|(place, _)| place.topic.clone());
    core.cluster.want_topics(topics);
    let deadline = Instant::now() + core.cluster.api_timeout();
    let mut open = questions;
    let mut found = HashMap::new();
    let mut attempt = 0;
    loop {
        let told = list_offsets(core, open.clone()).await;
        let mut worst = None;
        let times: HashMap<_, _> = open.drain(..).collect();
        for (place, answer) in told {
            match answer {
                Ok(answer) => {
                    found.insert(place, answer);
                }
                Err(error) if passes(&error) => {
                    let time = times.get(&place).copied().unwrap_or(LATEST);
                    open.push((place, time));
                    worst = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let Some(error) = worst else { return Ok(found) };
        let wait = core.cluster.backoff().delay(attempt);
        if Instant::now() + wait >= deadline {
            return Err(error);
        }
        attempt += 1;
        core.cluster.request_refresh();
        sleep(wait).await;
    }
}

/// The first offset of each time.
pub(crate) async fn for_times(
    core: &Core,
    questions: Vec<Question>,
) -> Result<BTreeMap<TopicPartition, Option<OffsetAndTimestamp>>> {
    let found = settled(core, questions).await?.into_iter();
    let told = found.map(|(place, (offset, timestamp, leader_epoch))| {
        let found = offset.zip(timestamp);
        let found = found.map(|(offset, timestamp)| OffsetAndTimestamp {
            offset,
            timestamp,
            leader_epoch,
        });
        (place, found)
    });
    Ok(told.collect())
}

/// The ends of a log.
pub(crate) async fn watermarks(core: &Core, place: &TopicPartition) -> Result<Watermarks> {
    let end = |time| async move {
        let found = settled(core, vec![(place.clone(), time)]).await?;
        let told = found.get(place).and_then(|(offset, _, _)| *offset);
        told.ok_or_else(|| Error::new(ErrorKind::State, "the answer gives no offset").at(place))
    };
    let (low, high) = futures_util::future::try_join(end(EARLIEST), end(LATEST)).await?;
    Ok(Watermarks { low, high })
}

pub(crate) const EARLIEST: i64 = -2;
pub(crate) const LATEST: i64 = -1;
