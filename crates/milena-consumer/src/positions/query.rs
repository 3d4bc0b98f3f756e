//! Requests to brokers about a log. They ask for its start and end, for offsets by time, and for
//! ends of leader epochs.

use std::collections::{BTreeMap, HashMap};

use milena_core::{
    Error, ErrorCode, ErrorKind, IsolationLevel, LeaderEpoch, NodeId, Offset, Result, Timestamp,
    TopicName, TopicPartition,
};
use milena_pool::{Cluster, Target};
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use milena_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use milena_protocol::messages::{ListOffsetsRequest, OffsetForLeaderEpochRequest};
use tokio::time::{Instant, sleep};

use crate::passing::passes;

/// An offset that was found by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OffsetAndTimestamp {
    /// The offset of the first record that is not older than the given time.
    pub offset: Offset,
    /// The timestamp of that record.
    pub timestamp: Timestamp,
    /// The epoch of the leader that appended the record. `None` if the broker did not send it.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// The start and the end of a partition's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Watermarks {
    /// The offset of the first record that can be read.
    pub low: Offset,
    /// The offset behind the last record that this consumer may read. That is the last stable
    /// offset with read_committed, and otherwise the high watermark.
    pub high: Offset,
}

/// The answer for one partition. The offset is `None` if no record matches.
pub(crate) type Listed = Result<ListedOffset>;

/// Offset, timestamp and leader epoch. Each is `None` if the broker did not send it.
pub(crate) type ListedOffset = (Option<Offset>, Option<Timestamp>, Option<LeaderEpoch>);

/// The end of a leader epoch in the leader's log. `None` if the leader does not know it.
pub(crate) type EpochEnd = Result<Option<(LeaderEpoch, Offset)>>;

/// A partition and the time to ask for, in wire format. -1 is the end of the log, -2 its start.
pub(crate) type TimeQuestion = (TopicPartition, i64);

/// Questions of one consumer to the leaders of partitions.
pub(crate) struct LogQueries {
    /// The cluster. It knows the leaders and sends the requests.
    cluster: Cluster,
    /// The isolation level. It decides which offset counts as the end of a log.
    isolation: IsolationLevel,
}

impl LogQueries {
    /// Returns the questions of a consumer that reads at this isolation level.
    pub(crate) fn new(cluster: Cluster, isolation: IsolationLevel) -> Self {
        Self { cluster, isolation }
    }

    /// Returns the first offset at or after each time.
    pub(crate) async fn for_times(
        &self,
        questions: Vec<TimeQuestion>,
    ) -> Result<BTreeMap<TopicPartition, Option<OffsetAndTimestamp>>> {
        let found = self.settled(questions).await?.into_iter();
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

    /// Returns the start and the end of a log.
    pub(crate) async fn watermarks(&self, place: &TopicPartition) -> Result<Watermarks> {
        let end = |time| async move {
            let found = self.settled(vec![(place.clone(), time)]).await?;
            let told = found.get(place).and_then(|(offset, _, _)| *offset);
            told.ok_or_else(|| Error::new(ErrorKind::State, "the answer gives no offset").at(place))
        };
        let (low, high) = futures_util::future::try_join(end(EARLIEST), end(LATEST)).await?;
        Ok(Watermarks { low, high })
    }

    /// Asks for offsets until every partition is answered or the API timeout is over.
    ///
    /// # Errors
    /// The first error that does not pass, or the last one that did once the API timeout is over.
    pub(crate) async fn settled(
        &self,
        questions: Vec<TimeQuestion>,
    ) -> Result<HashMap<TopicPartition, ListedOffset>> {
        let topics = questions.iter().map(|(place, _)| place.topic.clone());
        self.cluster.want_topics(topics);
        let deadline = Instant::now() + self.cluster.api_timeout();
        let mut open = questions;
        let mut found = HashMap::new();
        let mut attempt = 0;
        loop {
            let told = self.list_offsets(open.clone()).await;
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
            let wait = self.cluster.backoff().delay(attempt);
            if Instant::now() + wait >= deadline {
                return Err(error);
            }
            attempt += 1;
            self.cluster.request_refresh();
            sleep(wait).await;
        }
    }

    /// Asks each leader once for offsets. The result has an entry for each partition in
    /// `questions`.
    pub(crate) async fn list_offsets(
        &self,
        questions: Vec<TimeQuestion>,
    ) -> HashMap<TopicPartition, Listed> {
        let left_out = "the answer leaves out a partition whose offsets were asked for";
        self.ask_leaders(questions, left_out, |leader, questions| async move {
            let answer = self.ask_offsets(Some(leader), &questions).await;
            (questions, answer)
        })
        .await
    }

    /// Asks one broker for offsets. Asks any broker if `leader` is `None`.
    pub(crate) async fn ask_offsets(
        &self,
        leader: Option<NodeId>,
        questions: &[TimeQuestion],
    ) -> Result<HashMap<TopicPartition, Listed>> {
        let mut topics: BTreeMap<&TopicName, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (place, time) in questions {
            let entry = ListOffsetsPartition::default()
                .with_partition_index(place.partition.to_wire())
                .with_current_leader_epoch(self.current_epoch(place))
                .with_timestamp(*time);
            topics.entry(&place.topic).or_default().push(entry);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            ListOffsetsTopic::default()
                .with_name(StrBytes::from_string(topic.to_string()).into())
                .with_partitions(partitions)
        });
        let request = ListOffsetsRequest::default()
            .with_replica_id((-1).into())
            .with_isolation_level(self.isolation.to_wire())
            .with_topics(topics.collect());
        let target = leading(leader, questions);
        let answer = self.cluster.send(&target, &request).await?;
        let mut found = HashMap::new();
        for topic in &answer.topics {
            for entry in &topic.partitions {
                let Some(partition) = milena_core::Partition::from_wire(entry.partition_index)
                else {
                    continue;
                };
                let place = TopicPartition::new(topic.name.as_str(), partition);
                let told = match ErrorCode::from_wire(entry.error_code) {
                    None => Ok((
                        Offset::from_wire(entry.offset),
                        Timestamp::from_wire(entry.timestamp),
                        LeaderEpoch::from_wire(entry.leader_epoch),
                    )),
                    Some(code) => Err(self.refused(code, "ListOffsets", &place)),
                };
                found.insert(place, told);
            }
        }
        Ok(found)
    }

    /// Asks one broker where leader epochs ended (KIP-320). Asks any broker if `leader` is `None`.
    pub(crate) async fn ask_epochs(
        &self,
        leader: Option<NodeId>,
        questions: &[(TopicPartition, LeaderEpoch)],
    ) -> Result<HashMap<TopicPartition, EpochEnd>> {
        let mut topics: BTreeMap<&TopicName, Vec<OffsetForLeaderPartition>> = BTreeMap::new();
        for (place, epoch) in questions {
            let entry = OffsetForLeaderPartition::default()
                .with_partition(place.partition.to_wire())
                .with_current_leader_epoch(self.current_epoch(place))
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
        let answer = self.cluster.send(&target, &request).await?;
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
                    Some(code) => Err(self.refused(code, "OffsetForLeaderEpoch", &place)),
                };
                found.insert(place, told);
            }
        }
        Ok(found)
    }

    /// Asks all leaders at the same time. The result has an entry for each partition in
    /// `questions`. It is an error with the text `left_out` if a leader's answer does not mention
    /// the partition.
    async fn ask_leaders<Q, A, F>(
        &self,
        questions: Vec<(TopicPartition, Q)>,
        left_out: &'static str,
        ask: impl Fn(NodeId, Vec<(TopicPartition, Q)>) -> F,
    ) -> HashMap<TopicPartition, Result<A>>
    where
        F: Future<Output = Replies<Q, A>>,
    {
        let (by_leader, leaderless) = self.by_leader(questions, |(place, _)| place);
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
                        let told = listed.remove(&place).unwrap_or_else(|| {
                            Err(Error::new(ErrorKind::State, left_out).at(&place))
                        });
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

    /// Groups questions by the leader of their partition. Also returns the partitions without a
    /// leader.
    fn by_leader<Q>(
        &self,
        questions: Vec<Q>,
        place: impl Fn(&Q) -> &TopicPartition,
    ) -> (BTreeMap<NodeId, Vec<Q>>, Vec<TopicPartition>) {
        let metadata = self.cluster.metadata();
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
            self.cluster.want_topics(topics);
        }
        (by_leader, leaderless)
    }

    /// Returns the leader epoch from metadata in wire format. -1 if it is unknown.
    fn current_epoch(&self, place: &TopicPartition) -> i32 {
        let metadata = self.cluster.metadata();
        let known = metadata.partition(place);
        known
            .and_then(|known| known.leader_epoch)
            .map_or(-1, LeaderEpoch::to_wire)
    }

    /// Turns the code of a refusal into an error. A code that only means stale metadata becomes an
    /// error that passes, so that the question is asked again.
    fn refused(&self, code: ErrorCode, api: &'static str, place: &TopicPartition) -> Error {
        self.cluster.note_error(code);
        let error = Error::broker(code).api(api).at(place);
        if code.is_stale_metadata() && !code.is_retriable() {
            let what = "the leader is not known yet";
            return Error::new(ErrorKind::State, what)
                .at(place)
                .with_source(error);
        }
        error
    }
}

/// Returns the error for a partition without a leader. It passes.
fn no_leader(place: &TopicPartition) -> Error {
    Error::broker(ErrorCode::LEADER_NOT_AVAILABLE).at(place)
}

/// The questions to one leader, and its answer for each partition.
type Replies<Q, A> = (
    Vec<(TopicPartition, Q)>,
    Result<HashMap<TopicPartition, Result<A>>>,
);

/// Returns the target for questions to `leader`, valid only while it leads these partitions. The
/// request therefore does not wait for an unreachable broker once another one leads.
fn leading<A>(leader: Option<NodeId>, questions: &[(TopicPartition, A)]) -> Target {
    let places = questions.iter().map(|(place, _)| place.clone());
    leader.map_or(Target::Any, |leader| {
        Target::Leading(leader, places.collect())
    })
}

/// The timestamp in ListOffsets that asks for the start of the log.
pub(crate) const EARLIEST: i64 = -2;
/// The timestamp in ListOffsets that asks for the end of the log.
pub(crate) const LATEST: i64 = -1;
