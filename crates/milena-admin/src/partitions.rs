//! Partitions: adding them to a topic, and deleting their oldest records.

use milena_core::{NodeId, Offset, Result, TopicName, TopicPartition};
use milena_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use milena_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use milena_protocol::messages::delete_records_response::DeleteRecordsPartitionResult;
use milena_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest,
};

use crate::PerItem;
use crate::admin::{Admin, moved};
use crate::answers::{by_topic, check, check_name, each_placed, unanswered, wire_name};
use crate::homes::Home;
use crate::shard::{Asked, Shard};

/// A topic that shall get more partitions.
///
/// Existing records stay where they are. New records with the same key may go to another partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic.
    topic: TopicName,
    /// The number of partitions after the change.
    total: i32,
    /// The brokers of each new partition. Empty lets the cluster choose.
    replicas: Vec<Vec<NodeId>>,
}

impl NewPartitions {
    /// Asks for `total` partitions of `topic`, including the existing ones.
    pub fn new(topic: impl Into<TopicName>, total: i32) -> Self {
        Self {
            topic: topic.into(),
            total,
            replicas: Vec::new(),
        }
    }

    /// Sets the brokers of each new partition, in their order. By default the cluster chooses.
    #[must_use]
    pub fn replicas<I>(mut self, partitions: I) -> Self
    where
        I: IntoIterator,
        I::Item: IntoIterator<Item = NodeId>,
    {
        let lists = partitions.into_iter();
        self.replicas = lists.map(|nodes| nodes.into_iter().collect()).collect();
        self
    }
}

impl Admin {
    /// Adds partitions to topics. Each topic succeeds or fails separately.
    ///
    /// # Errors
    /// The call fails if no controller answers in time. An item fails with `INVALID_PARTITIONS` if
    /// the new number is not larger, with `UNKNOWN_TOPIC_OR_PARTITION` and so on.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the partitions may or may not be added.
    ///
    /// # References
    /// CreatePartitions, api key 37, versions 0 to 3 (KIP-195).
    pub async fn create_partitions(
        &self,
        topics: impl IntoIterator<Item = NewPartitions>,
    ) -> Result<PerItem<TopicName, ()>> {
        self.add_partitions(topics.into_iter().collect(), false)
            .await
    }

    /// Checks if partitions could be added, without adding any (`validate_only`).
    ///
    /// # Errors
    /// The errors of [`create_partitions`](Self::create_partitions).
    pub async fn validate_partitions(
        &self,
        topics: impl IntoIterator<Item = NewPartitions>,
    ) -> Result<PerItem<TopicName, ()>> {
        self.add_partitions(topics.into_iter().collect(), true)
            .await
    }

    async fn add_partitions(
        &self,
        topics: Vec<NewPartitions>,
        validate_only: bool,
    ) -> Result<PerItem<TopicName, ()>> {
        let legal = topics.iter().filter(|each| each.topic.defect().is_none());
        let wanted: Vec<_> = legal.map(creatable).collect();
        let mut answers = Vec::new();
        if !wanted.is_empty() {
            let request = CreatePartitionsRequest::default()
                .with_topics(wanted)
                .with_timeout_ms(self.timeout_ms())
                .with_validate_only(validate_only);
            let codes = |answer: &CreatePartitionsResponse| {
                answer.results.iter().any(|topic| moved(topic.error_code))
            };
            let answered = self.at_controller(|_| Ok(request.clone()), codes).await?;
            answers = answered.results;
        }
        let result = |topic: &TopicName| {
            check_name(topic)?;
            let answer = answers.iter().find(|answer| *answer.name.0 == **topic);
            let answer = answer.ok_or_else(|| unanswered("CreatePartitions").topic(topic))?;
            let words = answer.error_message.as_ref();
            check(answer.error_code, words, "CreatePartitions").map_err(|error| error.topic(topic))
        };
        let results = topics
            .iter()
            .map(|each| (each.topic.clone(), result(&each.topic)));
        Ok(PerItem::new(results.collect()))
    }

    /// Deletes the oldest records of partitions, permanently. Each partition succeeds or fails
    /// separately. Returns the first remaining offset of each.
    ///
    /// Consumers no longer see the records at once. Brokers free the disk space later, by whole
    /// segments.
    ///
    /// # Errors
    /// An item fails with `OFFSET_OUT_OF_RANGE` for an offset beyond the end of the partition, with
    /// `UNKNOWN_TOPIC_OR_PARTITION`, with `POLICY_VIOLATION` for a compacted topic, with a timeout
    /// and so on.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the records may or may not be deleted.
    ///
    /// # References
    /// DeleteRecords, api key 21, versions 0 to 2 (KIP-107). Sent to the leader of each partition.
    pub async fn delete_records(
        &self,
        partitions: impl IntoIterator<Item = (TopicPartition, DeleteUpTo)>,
    ) -> PerItem<TopicPartition, Offset> {
        let items: Vec<_> = partitions.into_iter().collect();
        let results = self.sharded(&DeleteRecords, &items).await;
        let places = items.into_iter().map(|(place, _)| place);
        PerItem::zip(places, results, |place, error| error.at(place))
    }
}

/// The end of the records to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteUpTo {
    /// Deletes all records before this offset. The record at this offset stays.
    Offset(Offset),
    /// Deletes all records of the partition.
    End,
}

fn creatable(topic: &NewPartitions) -> CreatePartitionsTopic {
    let assignment = |nodes: &Vec<NodeId>| {
        let ids = nodes.iter().map(|node| BrokerId(node.to_wire()));
        CreatePartitionsAssignment::default().with_broker_ids(ids.collect())
    };
    let assignments = topic.replicas.iter().map(assignment).collect();
    CreatePartitionsTopic::default()
        .with_name(wire_name(&topic.topic))
        .with_count(topic.total)
        .with_assignments((!topic.replicas.is_empty()).then_some(assignments))
}

struct DeleteRecords;

impl Shard for DeleteRecords {
    type Item = (TopicPartition, DeleteUpTo);
    type Value = Offset;
    const REPEATABLE: bool = true;

    fn home(&self, (place, _): &Self::Item) -> Home {
        Home::Leader(place.clone())
    }

    async fn ask(&self, at: Asked<'_>, items: Vec<Self::Item>) -> Result<Vec<Result<Offset>>> {
        let topics = by_topic(items.iter().cloned())
            .into_iter()
            .map(|(topic, partitions)| {
                let partitions = partitions.into_iter().map(|(partition, upto)| {
                    let offset = match upto {
                        DeleteUpTo::Offset(offset) => offset.to_wire(),
                        DeleteUpTo::End => -1,
                    };
                    DeleteRecordsPartition::default()
                        .with_partition_index(partition)
                        .with_offset(offset)
                });
                DeleteRecordsTopic::default()
                    .with_name(wire_name(&topic))
                    .with_partitions(partitions.collect())
            });
        let request = DeleteRecordsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(i32::try_from(at.limit.as_millis()).unwrap_or(i32::MAX));
        let answer = at.send(&request).await?;
        let api = "DeleteRecords";
        let read = |told: &DeleteRecordsPartitionResult| {
            check(told.error_code, None, api)?;
            Ok(Offset::from_wire(told.low_watermark).unwrap_or_default())
        };
        let number = |told: &DeleteRecordsPartitionResult| told.partition_index;
        let told = answer.topics.iter();
        let told = told.map(|topic| (&topic.name, &topic.partitions[..]));
        let places = items.iter().map(|(place, _)| place);
        Ok(each_placed(places, &told, number, api, read))
    }
}
