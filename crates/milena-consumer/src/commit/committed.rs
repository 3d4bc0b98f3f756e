//! Committed offsets of a group, read from its coordinator (OffsetFetch).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use milena_core::{
    Error, ErrorCode, LeaderEpoch, Offset, Partition, Result, TopicName, TopicPartition,
};
use milena_pool::Role;
use milena_protocol::ApiKey;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use milena_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use tokio::time::{Instant, timeout_at};

use crate::commit::offset_and_metadata::OffsetAndMetadata;
use crate::coordinator::Coordinator;
use crate::core::Core;
use crate::group::member::{MembershipStamp, pulse};
use crate::group::signals::Signals;
use crate::group::standing::Standing;
use crate::group::verdict_watch::VerdictWatch;

/// A committed offset with its epoch, `None` if nothing is committed, or the coordinator's error
/// for the partition.
pub(crate) type Found = Result<Option<OffsetAndMetadata>, ErrorCode>;

/// The parts of a consumer that read committed offsets.
pub(crate) struct CommittedOffsets<'a> {
    /// The coordinator to ask. Forgotten if it does not answer.
    coordinator: &'a Coordinator,
    /// The membership that a question names under the consumer protocol.
    membership: &'a Standing,
    /// The coordinator's verdict on the membership, for the group's task. Written here.
    verdict: &'a VerdictWatch,
    /// The signals of the group, which tell if it uses the consumer protocol.
    signals: &'a Signals,
    /// `session.timeout.ms`, which bounds the wait for an answer.
    session_timeout: Duration,
}

impl<'a> CommittedOffsets<'a> {
    /// Returns the parts of this consumer.
    pub(crate) fn of(core: &'a Core) -> Self {
        Self {
            coordinator: &core.coordinator,
            membership: &core.membership,
            verdict: &core.verdict,
            signals: &core.group,
            session_timeout: core.settings.session_timeout,
        }
    }

    /// Asks the coordinator for the committed offset of each of `places`.
    ///
    /// Under the consumer protocol the request names the member and its epoch. A member that was
    /// fenced meanwhile must not start at offsets that other members have moved on from (KIP-848).
    ///
    /// # Errors
    /// The refusal of the whole request, or the reason why there was no answer.
    pub(crate) async fn fetch(
        &self,
        places: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Found>> {
        let mut memberships = self.membership.subscribe();
        let patience = Instant::now() + NEWER;
        loop {
            let known = memberships.borrow_and_update().clone();
            let asking = known.clone().filter(|_| self.signals.is_coordinated());
            let error = match self.ask(places, asking.as_ref()).await {
                Err(error) if error.code() == Some(ErrorCode::STALE_MEMBER_EPOCH) => error,
                other => return other,
            };
            // The coordinator knows a newer epoch, which comes with the answer to a heartbeat. The
            // question is asked again then.
            let newer = memberships.wait_for(|now| *now != known);
            if !matches!(timeout_at(patience, newer).await, Ok(Ok(_))) {
                return Err(error);
            }
        }
    }

    /// Sends one OffsetFetch request, and passes what the answer says about the membership on to
    /// the group's task.
    async fn ask(
        &self,
        places: &[TopicPartition],
        asking: Option<&MembershipStamp>,
    ) -> Result<HashMap<TopicPartition, Found>> {
        let connection = self.coordinator.connection(Role::Heartbeat).await?;
        let version = connection.versions().negotiate(ApiKey::OffsetFetch)?;
        let group = self.coordinator.group_name();
        let request = committed_request(group, asking, places, version);
        // Heartbeats share this connection and wait behind the request, so it must give up well
        // within the session.
        let limit = (self.session_timeout / 3).min(connection.request_timeout());
        let answer = connection.call_version(&request, version, limit).await;
        let answer = answer.inspect_err(|_| self.coordinator.forget())?;
        read_committed(group, &answer, version).inspect_err(|error| {
            if error.code().is_some_and(ErrorCode::is_stale_coordinator) {
                self.coordinator.forget();
            }
            if let Some(asking) = asking.filter(|_| is_about_the_member(error)) {
                self.verdict.record(asking, pulse(error.code()));
            }
        })
    }
}

/// Returns true if the coordinator does not know the member, or not with this epoch. The group's
/// task then handles that, and the request is sent again.
pub(crate) fn is_about_the_member(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::STALE_MEMBER_EPOCH | ErrorCode::UNKNOWN_MEMBER_ID)
    )
}

fn committed_request(
    group: &str,
    asking: Option<&MembershipStamp>,
    places: &[TopicPartition],
    version: i16,
) -> OffsetFetchRequest {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for place in places {
        let list = topics.entry(&place.topic).or_default();
        list.push(place.partition.to_wire());
    }
    let group = StrBytes::from_string(group.to_owned());
    // The coordinator then refuses until open transactions have ended. With the offset from before
    // a transaction, its records would be processed twice.
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

/// Returns an iterator over the committed offsets of an answer's topics as [`FetchedOffset`]. This
/// is a macro because the types of topics and partitions before version 8 differ from the later
/// ones, with the same fields.
macro_rules! told {
    ($topics:expr) => {
        $topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|each| FetchedOffset {
                topic: &topic.name,
                partition: each.partition_index,
                code: each.error_code,
                offset: each.committed_offset,
                epoch: each.committed_leader_epoch,
                metadata: each.metadata.as_ref(),
            })
        })
    };
}

/// Reads the offsets of `group` from an answer, whichever version it has.
fn read_committed(
    group: &str,
    answer: &OffsetFetchResponse,
    version: i16,
) -> Result<HashMap<TopicPartition, Found>> {
    let mut found = HashMap::new();
    let mut code = answer.error_code;
    if version >= GROUPS_FROM {
        let groups = answer.groups.iter();
        for entry in groups.filter(|entry| entry.group_id.as_str() == group) {
            code = entry.error_code;
            found.extend(told!(entry.topics).filter_map(FetchedOffset::read));
        }
    } else {
        found.extend(told!(answer.topics).filter_map(FetchedOffset::read));
    }
    match ErrorCode::from_wire(code) {
        Some(code) => Err(Error::broker(code).api("OffsetFetch").group(group)),
        None => Ok(found),
    }
}

/// The fields of one partition in an answer, as they were read.
struct FetchedOffset<'a> {
    topic: &'a str,
    partition: i32,
    code: i16,
    offset: i64,
    epoch: i32,
    metadata: Option<&'a StrBytes>,
}

impl FetchedOffset<'_> {
    /// Returns the partition with its committed offset or error. `None` if the partition's number
    /// is negative.
    fn read(self) -> Option<(TopicPartition, Found)> {
        let partition = Partition::from_wire(self.partition)?;
        let found = match ErrorCode::from_wire(self.code) {
            Some(code) => Err(code),
            None => Ok(
                Offset::from_wire(self.offset).map(|offset| OffsetAndMetadata {
                    offset,
                    leader_epoch: LeaderEpoch::from_wire(self.epoch),
                    metadata: self.metadata.map_or("", |text| text.as_str()).into(),
                }),
            ),
        };
        Some((TopicPartition::new(self.topic, partition), found))
    }
}

/// The first version of OffsetFetch that lists groups (KIP-709).
const GROUPS_FROM: i16 = 8;
/// The first version of OffsetFetch that names the member (KIP-848).
const MEMBERS_FROM: i16 = 9;
/// The time to wait for the newer member epoch after STALE_MEMBER_EPOCH.
const NEWER: Duration = Duration::from_secs(5);
