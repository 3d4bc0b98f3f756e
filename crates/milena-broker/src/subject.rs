//! The partitions and groups that a request is about, for fault filters and the journal.

use bytes::Bytes;
use milena_protocol::any::AnyRequest;
use milena_protocol::batch::HEADER_LEN;
use milena_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeTopicPartitionsRequest, ElectLeadersRequest, FetchRequest, FindCoordinatorRequest,
    GroupId, ListOffsetsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, TopicName,
};
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::group::Group;
use crate::node::Node;

/// The topics, partitions and groups that a request is about.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// The topics with their partitions. -1 stands for a whole topic.
    pub(crate) partitions: Vec<(String, i32)>,
    /// The groups.
    pub(crate) groups: Vec<String>,
}

/// The broker that a request was sent to. It resolves topic ids and fetch sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// The cluster, which knows the names of topic ids.
    pub(crate) cluster: &'a Cluster,
    /// The broker, which keeps the fetch sessions.
    pub(crate) node: &'a Node,
}

impl About {
    /// Makes the subject of a request about one group.
    pub(crate) fn group(group: &GroupId) -> Self {
        Self::groups([group])
    }

    /// Makes the subject of a request about groups.
    pub(crate) fn groups<'a>(groups: impl IntoIterator<Item = &'a GroupId>) -> Self {
        Self {
            partitions: Vec::new(),
            groups: groups.into_iter().map(|group| group.to_string()).collect(),
        }
    }

    /// Adds the group that the request is about.
    fn of_group(mut self, group: &GroupId) -> Self {
        self.groups.push(group.to_string());
        self
    }

    /// Makes the subject of a request about whole topics.
    fn topics(names: impl Iterator<Item = String>) -> Self {
        Self::partitions(names.map(|name| (name, [WHOLE])))
    }

    /// Makes the subject of a request about partitions, by topic.
    fn partitions<P>(topics: impl Iterator<Item = (String, P)>) -> Self
    where
        P: IntoIterator<Item = i32>,
    {
        let each = topics.flat_map(|(name, partitions)| {
            let each = partitions.into_iter();
            each.map(move |partition| (name.clone(), partition))
        });
        Self {
            partitions: each.collect(),
            groups: Vec::new(),
        }
    }
}

impl Asker<'_> {
    /// Returns the name of a topic that a request names or gives the id of.
    fn name_of(&self, name: &str, id: Uuid) -> String {
        if !name.is_empty() || id.is_nil() {
            return name.to_owned();
        }
        self.cluster
            .topic_by_id(id)
            .map_or_else(|| id.to_string(), |topic| topic.name.to_string())
    }

    /// Returns the subject of a request about all topics.
    fn all_topics(&self) -> About {
        let all = self.cluster.topics();
        About::topics(all.iter().map(|topic| topic.name.to_string()))
    }

    /// Returns the partitions that a group has committed offsets of.
    fn committed(&self, group: &str) -> Vec<(String, i32)> {
        let all = |group: &mut Group| {
            let each = group.offsets.all();
            each.map(|(topic, partition, _)| (topic.to_owned(), partition))
                .collect()
        };
        self.cluster.groups.with(group, all).unwrap_or_default()
    }
}

/// Returns the subject of a Produce request.
pub(crate) fn produce(asker: &Asker<'_>, request: &ProduceRequest) -> About {
    About::partitions(request.topic_data.iter().map(|topic| {
        let name = asker.name_of(topic.name.as_str(), topic.topic_id);
        (name, topic.partition_data.iter().map(|data| data.index))
    }))
}

/// Returns the subject of a Fetch request, with the partitions of its session.
pub(crate) fn fetch(asker: &Asker<'_>, request: &FetchRequest) -> About {
    let mut about = About::partitions(request.topics.iter().map(|topic| {
        let name = asker.name_of(topic.topic.as_str(), topic.topic_id);
        (name, topic.partitions.iter().map(|each| each.partition))
    }));
    // An incremental fetch names only changes. The rest of its partitions is in the session.
    for wanted in asker.node.sessions.lock().wanted(request.session_id) {
        let name = asker.name_of(&wanted.topic, wanted.topic_id);
        about.partitions.push((name, wanted.partition));
    }
    about.partitions.sort_unstable();
    about.partitions.dedup();
    about
}

/// Returns the subject of a Metadata request. A request without a list is about all topics.
pub(crate) fn metadata(asker: &Asker<'_>, request: &MetadataRequest) -> About {
    let Some(topics) = &request.topics else {
        return asker.all_topics();
    };
    About::topics(topics.iter().map(|topic| {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        asker.name_of(name, topic.topic_id)
    }))
}

/// Returns the subject of a ListOffsets request.
pub(crate) fn list_offsets(request: &ListOffsetsRequest) -> About {
    About::partitions(request.topics.iter().map(|topic| {
        let each = topic.partitions.iter().map(|each| each.partition_index);
        (topic.name.to_string(), each)
    }))
}

/// Returns the subject of an OffsetForLeaderEpoch request.
pub(crate) fn leader_epochs(request: &OffsetForLeaderEpochRequest) -> About {
    About::partitions(request.topics.iter().map(|topic| {
        let each = topic.partitions.iter().map(|each| each.partition);
        (topic.topic.to_string(), each)
    }))
}

/// Returns the subject of a CreateTopics request.
pub(crate) fn create_topics(request: &CreateTopicsRequest) -> About {
    About::topics(request.topics.iter().map(|topic| topic.name.to_string()))
}

/// Returns the subject of a DeleteTopics request. Version 6 and later may name topics by id.
pub(crate) fn delete_topics(asker: &Asker<'_>, request: &DeleteTopicsRequest) -> About {
    let named = request.topic_names.iter().map(|name| name.to_string());
    let more = request.topics.iter().map(|topic| {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        asker.name_of(name, topic.topic_id)
    });
    About::topics(named.chain(more))
}

/// Returns the subject of a DescribeTopicPartitions request. An empty list stands for all topics.
pub(crate) fn describe_partitions(
    asker: &Asker<'_>,
    request: &DescribeTopicPartitionsRequest,
) -> About {
    if request.topics.is_empty() {
        return asker.all_topics();
    }
    About::topics(request.topics.iter().map(|topic| topic.name.to_string()))
}

/// Returns the subject of an ElectLeaders request. A null list stands for all partitions.
pub(crate) fn elect_leaders(asker: &Asker<'_>, request: &ElectLeadersRequest) -> About {
    let Some(topics) = &request.topic_partitions else {
        return asker.all_topics();
    };
    About::partitions(topics.iter().map(|topic| {
        let each = topic.partitions.iter().copied();
        (topic.topic.to_string(), each)
    }))
}

/// Returns the subject of a request about the settings of resources, given as type and name.
pub(crate) fn resources<'a>(resources: impl Iterator<Item = (i8, &'a str)>) -> About {
    let topics = resources.filter(|(kind, _)| *kind == TOPIC_RESOURCE);
    About::topics(topics.map(|(_, name)| name.to_owned()))
}

/// Returns the subject of a CreatePartitions request.
pub(crate) fn create_partitions(request: &CreatePartitionsRequest) -> About {
    About::topics(request.topics.iter().map(|topic| topic.name.to_string()))
}

/// Returns the subject of a DeleteRecords request.
pub(crate) fn delete_records(request: &DeleteRecordsRequest) -> About {
    About::partitions(request.topics.iter().map(|topic| {
        let each = topic.partitions.iter().map(|each| each.partition_index);
        (topic.name.to_string(), each)
    }))
}

/// Returns the subject of an OffsetCommit request.
pub(crate) fn offset_commit(request: &OffsetCommitRequest) -> About {
    let topics = request.topics.iter().map(|topic| {
        let each = topic.partitions.iter().map(|each| each.partition_index);
        (topic.name.to_string(), each)
    });
    About::partitions(topics).of_group(&request.group_id)
}

/// Returns the subject of an OffsetFetch request. Version 8 and later name several groups.
pub(crate) fn offset_fetch(asker: &Asker<'_>, request: &OffsetFetchRequest) -> About {
    let more = request.groups.iter().map(|group| &group.group_id);
    let mut about = About::groups(std::iter::once(&request.group_id).chain(more));
    if request.groups.is_empty() {
        about.partitions = match &request.topics {
            Some(topics) => indexes(topics.iter().map(|t| (&t.name, &t.partition_indexes))),
            None => asker.committed(request.group_id.as_str()),
        };
    }
    for group in &request.groups {
        about.partitions.extend(match &group.topics {
            Some(topics) => indexes(topics.iter().map(|t| (&t.name, &t.partition_indexes))),
            None => asker.committed(group.group_id.as_str()),
        });
    }
    about
}

/// Returns the subject of an OffsetDelete request.
pub(crate) fn offset_delete(request: &OffsetDeleteRequest) -> About {
    let topics = request.topics.iter().map(|topic| {
        let each = topic.partitions.iter().map(|each| each.partition_index);
        (topic.name.to_string(), each)
    });
    About::partitions(topics).of_group(&request.group_id)
}

/// Returns the partitions of topics with lists of partition numbers.
fn indexes<'a>(topics: impl Iterator<Item = (&'a TopicName, &'a Vec<i32>)>) -> Vec<(String, i32)> {
    let topics = topics.map(|(name, indexes)| (name.to_string(), indexes.iter().copied()));
    About::partitions(topics).partitions
}

/// Returns the subject of a FindCoordinator request. Version 4 and later name several groups.
pub(crate) fn find_coordinator(request: &FindCoordinatorRequest) -> About {
    let more = request.coordinator_keys.iter().map(ToString::to_string);
    About {
        partitions: Vec::new(),
        groups: std::iter::once(request.key.to_string())
            .chain(more)
            .collect(),
    }
}

/// Returns the request with each produced batch cut to its header, so that the journal does not
/// keep records alive.
pub(crate) fn without_records(message: &AnyRequest) -> AnyRequest {
    let mut message = message.clone();
    if let AnyRequest::Produce(request) = &mut message {
        for data in request
            .topic_data
            .iter_mut()
            .flat_map(|topic| &mut topic.partition_data)
        {
            if let Some(records) = &mut data.records {
                let kept = records.len().min(HEADER_LEN);
                *records = Bytes::copy_from_slice(records.get(..kept).unwrap_or_default());
            }
        }
    }
    message
}

/// The type of topics among the resources with settings.
pub(crate) const TOPIC_RESOURCE: i8 = 2;

/// The partition number that stands for a whole topic.
pub(crate) const WHOLE: i32 = -1;
