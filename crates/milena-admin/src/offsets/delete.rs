//! Deletes the committed offsets of a group (OffsetDelete).

use std::sync::Arc;

use milena_core::{Result, TopicPartition};
use milena_protocol::messages::OffsetDeleteRequest;
use milena_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use milena_protocol::messages::offset_delete_response::OffsetDeleteResponsePartition;

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{by_topic, check, each_placed, wire_group, wire_name};
use crate::homes::Home;
use crate::shard::{Asked, Shard};

impl Admin {
    /// Deletes the committed offsets of a group in these partitions. Each partition succeeds or
    /// fails separately.
    ///
    /// Unlike [`alter_offsets`](Self::alter_offsets), it works while the group has members, for
    /// topics that no member reads.
    ///
    /// # Errors
    /// An item fails with `GROUP_SUBSCRIBED_TO_TOPIC` while a member reads the topic, with
    /// `GROUP_ID_NOT_FOUND`, `UNKNOWN_TOPIC_OR_PARTITION`, with a timeout and so on.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the offsets may or may not be deleted.
    ///
    /// # References
    /// OffsetDelete, api key 47 (KIP-496).
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> PerItem<TopicPartition, ()> {
        let items: Vec<_> = partitions.into_iter().collect();
        let shard = DeleteOffsets(Arc::from(group));
        let results = self.sharded(&shard, &items).await;
        PerItem::zip(items, results, |place, error| error.group(group).at(place))
    }
}

/// Deletes committed offsets of this group.
struct DeleteOffsets(Arc<str>);

impl Shard for DeleteOffsets {
    type Item = TopicPartition;
    type Value = ();
    const REPEATABLE: bool = true;

    fn home(&self, _: &Self::Item) -> Home {
        Home::Coordinator(Arc::clone(&self.0))
    }

    async fn ask(&self, at: Asked<'_>, items: Vec<Self::Item>) -> Result<Vec<Result<()>>> {
        let topics = by_topic(items.iter().map(|place| (place.clone(), ()))).into_iter();
        let topics = topics.map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, ())| {
                OffsetDeleteRequestPartition::default().with_partition_index(partition)
            });
            OffsetDeleteRequestTopic::default()
                .with_name(wire_name(&topic))
                .with_partitions(partitions.collect())
        });
        let request = OffsetDeleteRequest::default()
            .with_group_id(wire_group(&self.0))
            .with_topics(topics.collect());
        let answer = at.send(&request).await?;
        let api = "OffsetDelete";
        check(answer.error_code, None, api)?;
        let read = |told: &OffsetDeleteResponsePartition| check(told.error_code, None, api);
        let number = |told: &OffsetDeleteResponsePartition| told.partition_index;
        let told = answer
            .topics
            .iter()
            .map(|topic| (&topic.name, &topic.partitions[..]));
        Ok(each_placed(&items, &told, number, api, read))
    }
}
