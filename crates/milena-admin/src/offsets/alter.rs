//! Sets the committed offsets of a group from outside (OffsetCommit).

use std::sync::Arc;

use milena_core::{Error, ErrorCode, Offset, Result, TopicPartition};
use milena_protocol::messages::OffsetCommitRequest;
use milena_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena_protocol::messages::offset_commit_response::OffsetCommitResponsePartition;

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{by_topic, check, each_placed, wire, wire_group, wire_name};
use crate::homes::Home;
use crate::shard::{Asked, Shard};

impl Admin {
    /// Sets the offsets at which a group resumes. Each partition succeeds or fails separately. A
    /// group that does not exist is created.
    ///
    /// # Errors
    /// The call fails with [`State`](milena_core::ErrorKind::State) if the group has members,
    /// because they would overwrite the offsets with their own commits. The text names the members,
    /// and nothing is changed. An item fails with `UNKNOWN_TOPIC_OR_PARTITION`, with a timeout and
    /// so on.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the offsets may or may not be set.
    ///
    /// # References
    /// OffsetCommit, api key 8 (KIP-396).
    pub async fn alter_offsets(
        &self,
        group: &str,
        offsets: impl IntoIterator<Item = (TopicPartition, Offset)>,
    ) -> Result<PerItem<TopicPartition, ()>> {
        self.check_idle(group).await?;
        let items: Vec<_> = offsets.into_iter().collect();
        let shard = AlterOffsets(Arc::from(group));
        let results = self.sharded(&shard, &items).await;
        // A member joined after the first check, so the coordinator refused. Name it like above.
        let refused = |result: &Result<()>| {
            let code = result.as_ref().err().and_then(Error::code);
            code.is_some_and(|code| ACTIVE.contains(&code))
        };
        if results.iter().any(refused) {
            self.check_idle(group).await?;
        }
        let places = items.into_iter().map(|(place, _)| place);
        Ok(PerItem::zip(places, results, |place, error| {
            error.group(group).at(place)
        }))
    }
}

/// Sets the committed offsets of this group.
struct AlterOffsets(Arc<str>);

impl Shard for AlterOffsets {
    type Item = (TopicPartition, Offset);
    type Value = ();
    const REPEATABLE: bool = true;

    fn home(&self, _: &Self::Item) -> Home {
        Home::Coordinator(Arc::clone(&self.0))
    }

    async fn ask(&self, at: Asked<'_>, items: Vec<Self::Item>) -> Result<Vec<Result<()>>> {
        let topics = by_topic(items.iter().cloned()).into_iter();
        let topics = topics.map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, offset)| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(partition)
                    .with_committed_offset(offset.to_wire())
                    .with_committed_leader_epoch(-1)
                    .with_committed_metadata(Some(wire("")))
            });
            OffsetCommitRequestTopic::default()
                .with_name(wire_name(&topic))
                .with_partitions(partitions.collect())
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(wire_group(&self.0))
            .with_generation_id_or_member_epoch(-1)
            .with_retention_time_ms(-1)
            .with_topics(topics.collect());
        let answer = at.send(&request).await?;
        let api = "OffsetCommit";
        let read = |told: &OffsetCommitResponsePartition| check(told.error_code, None, api);
        let number = |told: &OffsetCommitResponsePartition| told.partition_index;
        let told = answer.topics.iter();
        let told = told.map(|topic| (&topic.name, &topic.partitions[..]));
        let places = items.iter().map(|(place, _)| place);
        Ok(each_placed(places, &told, number, api, read))
    }
}

/// The codes with which a coordinator refuses a commit from outside while the group has members.
const ACTIVE: [ErrorCode; 5] = [
    ErrorCode::UNKNOWN_MEMBER_ID,
    ErrorCode::ILLEGAL_GENERATION,
    ErrorCode::STALE_MEMBER_EPOCH,
    ErrorCode::FENCED_MEMBER_EPOCH,
    ErrorCode::REBALANCE_IN_PROGRESS,
];
