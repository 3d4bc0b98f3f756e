//! Leader elections on request.

use milena_core::{Error, ErrorCode, ErrorKind, Result, TopicPartition};
use milena_protocol::messages::elect_leaders_request::TopicPartitions;
use milena_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::PerItem;
use crate::admin::{Admin, moved};
use crate::answers::{by_topic, check, places, wire_name};

/// The replica to elect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionKind {
    /// The first of the partition's replicas, if it is in sync.
    Preferred,
    /// Any replica, if none is in sync. It may lag behind, so **records may be lost** (KIP-460).
    Unclean,
}

/// The result of an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Election {
    /// Another leader was elected.
    Elected,
    /// The right replica was the leader already.
    NotNeeded,
}

impl Admin {
    /// Elects leaders of partitions. Each partition succeeds or fails separately.
    ///
    /// # Errors
    /// The call fails if no controller answers in time, and with
    /// [`Unsupported`](ErrorKind::Unsupported) for [`ElectionKind::Unclean`] on brokers before
    /// Kafka 2.4. An item fails with `PREFERRED_LEADER_NOT_AVAILABLE`,
    /// `ELIGIBLE_LEADERS_NOT_AVAILABLE` and so on.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, leaders may or may not be elected.
    ///
    /// # References
    /// ElectLeaders, api key 43, versions 0 to 2 (KIP-183, KIP-460).
    pub async fn elect_leaders(
        &self,
        kind: ElectionKind,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<PerItem<TopicPartition, Election>> {
        let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
        if partitions.is_empty() {
            return Ok(PerItem::new(Vec::new()));
        }
        let answer = self.elect(kind, Some(&partitions)).await?;
        let told = results(&answer);
        let result = |place: TopicPartition| {
            let found = told.iter().find(|(known, _)| *known == place);
            // Brokers leave out partitions that needed no election.
            let result = found.map_or(Ok(Election::NotNeeded), |(_, result)| result.clone());
            (place, result)
        };
        Ok(PerItem::new(partitions.into_iter().map(result).collect()))
    }

    /// Elects leaders of all partitions in the cluster. Returns the partitions that needed an
    /// election.
    ///
    /// # Errors
    /// The errors of [`elect_leaders`](Self::elect_leaders).
    pub async fn elect_all_leaders(
        &self,
        kind: ElectionKind,
    ) -> Result<PerItem<TopicPartition, Election>> {
        let answer = self.elect(kind, None).await?;
        let needed = results(&answer);
        let needed = needed.into_iter();
        Ok(PerItem::new(
            needed
                .filter(|(_, result)| !matches!(result, Ok(Election::NotNeeded)))
                .collect(),
        ))
    }

    /// Sends one ElectLeaders request. `None` means all partitions.
    async fn elect(
        &self,
        kind: ElectionKind,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<ElectLeadersResponse> {
        let topics = partitions.map(|places| {
            let topics = by_topic(places.iter().map(|place| (place.clone(), ())));
            let topics = topics.into_iter().map(|(topic, partitions)| {
                let numbers = partitions.into_iter().map(|(partition, ())| partition);
                TopicPartitions::default()
                    .with_topic(wire_name(&topic))
                    .with_partitions(numbers.collect())
            });
            topics.collect::<Vec<_>>()
        });
        let build = |version: i16| {
            let request = ElectLeadersRequest::default()
                .with_topic_partitions(topics.clone())
                .with_timeout_ms(self.timeout_ms());
            match kind {
                ElectionKind::Preferred => Ok(request),
                ElectionKind::Unclean if version >= 1 => Ok(request.with_election_type(1)),
                ElectionKind::Unclean => {
                    let what = "the broker is too old for unclean elections";
                    Err(Error::new(ErrorKind::Unsupported, what).api("ElectLeaders"))
                }
            }
        };
        let codes = |answer: &ElectLeadersResponse| {
            let topics = answer.replica_election_results.iter();
            moved(answer.error_code)
                || topics
                    .flat_map(|topic| &topic.partition_result)
                    .any(|each| moved(each.error_code))
        };
        let answer = self.at_controller(build, codes).await?;
        check(answer.error_code, None, "ElectLeaders")?;
        Ok(answer)
    }
}

/// Reads the result of each partition in the answer.
fn results(answer: &ElectLeadersResponse) -> Vec<(TopicPartition, Result<Election>)> {
    let mut found = Vec::new();
    for topic in &answer.replica_election_results {
        for told in &topic.partition_result {
            let Some(place) = places([(topic.topic.0.as_str(), &[told.partition_id][..])]).pop()
            else {
                continue;
            };
            let needless =
                ErrorCode::from_wire(told.error_code) == Some(ErrorCode::ELECTION_NOT_NEEDED);
            let result = if needless {
                Ok(Election::NotNeeded)
            } else {
                check(told.error_code, told.error_message.as_ref(), "ElectLeaders")
                    .map(|()| Election::Elected)
                    .map_err(|error| error.at(&place))
            };
            found.push((place, result));
        }
    }
    found
}
