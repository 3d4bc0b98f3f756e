//! Every version that ApiVersions lists is served.

use crate::bed::{Client, code, fetching, producing, text, topic};
use milena_broker::{ApiKey, Broker, ErrorCode};
use milena_protocol::messages::*;
use milena_protocol::{Request, VersionRange};

async fn offered(client: &mut Client) -> Vec<(i16, VersionRange)> {
    let answer = client.call(&ApiVersionsRequest::default(), 0).await;
    let each = answer.api_keys.iter();
    each.map(|key| {
        let range = VersionRange {
            min: key.min_version,
            max: key.max_version,
        };
        (key.api_key, range)
    })
    .collect()
}

/// Calls `R` in every listed version from `from` on, with the request that `build` makes.
async fn all<R: Request>(broker: &Broker, from: i16, build: impl Fn(i16) -> R) {
    let mut client = Client::to(broker, 1).await;
    let (_, range) = offered(&mut client)
        .await
        .into_iter()
        .find(|(key, _)| *key == R::KEY.to_wire())
        .unwrap_or_else(|| panic!("{} is not offered", R::NAME));
    for version in range.min.max(from)..=range.max {
        let answered = client.try_call(&build(version), version).await;
        assert!(
            answered.is_some(),
            "{} version {version} was not answered",
            R::NAME
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_offered_version_is_answered_and_decodes() {
    let broker = Broker::builder().topic("orders", 2).start().await.unwrap();
    let group = || GroupId(text("group"));
    all(&broker, 0, |version| {
        let named = ApiVersionsRequest::default();
        if version < 3 {
            return named;
        }
        named
            .with_client_software_name(text("test"))
            .with_client_software_version(text("1.0"))
    })
    .await;
    all(&broker, 0, |_| {
        MetadataRequest::default().with_topics(Some(vec![
            metadata_request::MetadataRequestTopic::default().with_name(Some(topic("orders"))),
            metadata_request::MetadataRequestTopic::default().with_name(Some(topic("unknown"))),
        ]))
    })
    .await;
    all(&broker, 3, |version| {
        let mut request = producing("orders", 0, crate::bed::batch(1, None));
        if version >= 13 {
            request.topic_data[0].name = topic("");
        }
        request
    })
    .await;
    all(&broker, 0, |version| {
        let mut request = fetching("orders", &[(0, 0), (1, 0), (7, 0)]);
        if version >= 13 {
            request.topics[0].topic = topic("");
        }
        request
    })
    .await;
    all(&broker, 0, |_| {
        let partition = list_offsets_request::ListOffsetsPartition::default()
            .with_timestamp(-1)
            .with_current_leader_epoch(-1);
        let topics = list_offsets_request::ListOffsetsTopic::default()
            .with_name(topic("orders"))
            .with_partitions(vec![partition]);
        ListOffsetsRequest::default().with_topics(vec![topics])
    })
    .await;
    all(&broker, 0, |_| {
        let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default();
        let topics = offset_for_leader_epoch_request::OffsetForLeaderTopic::default()
            .with_topic(topic("orders"))
            .with_partitions(vec![partition]);
        OffsetForLeaderEpochRequest::default().with_topics(vec![topics])
    })
    .await;
    all(&broker, 0, |_| InitProducerIdRequest::default()).await;
    all(&broker, 0, |version| {
        let request = FindCoordinatorRequest::default();
        if version < 4 {
            return request.with_key(text("group"));
        }
        request.with_coordinator_keys(vec![text("group"), text("other")])
    })
    .await;
    all(&broker, 0, |_| {
        JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(10_000)
    })
    .await;
    all(&broker, 0, |_| {
        SyncGroupRequest::default().with_group_id(group())
    })
    .await;
    all(&broker, 0, |_| {
        HeartbeatRequest::default().with_group_id(group())
    })
    .await;
    all(&broker, 0, |version| {
        let request = LeaveGroupRequest::default().with_group_id(group());
        if version < 3 {
            return request.with_member_id(text("member"));
        }
        request.with_members(vec![
            leave_group_request::MemberIdentity::default().with_member_id(text("member")),
        ])
    })
    .await;
    all(&broker, 0, |_| {
        let partition =
            offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(3);
        let topics = offset_commit_request::OffsetCommitRequestTopic::default()
            .with_name(topic("orders"))
            .with_partitions(vec![partition]);
        OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topics])
    })
    .await;
    all(&broker, 0, |version| {
        let topics = offset_fetch_request::OffsetFetchRequestTopic::default()
            .with_name(topic("orders"))
            .with_partition_indexes(vec![0, 1]);
        if version < 8 {
            return OffsetFetchRequest::default()
                .with_group_id(group())
                .with_topics(Some(vec![topics]));
        }
        let topics = offset_fetch_request::OffsetFetchRequestTopics::default()
            .with_name(topic("orders"))
            .with_partition_indexes(vec![0, 1]);
        let asked = offset_fetch_request::OffsetFetchRequestGroup::default()
            .with_group_id(group())
            .with_topics(Some(vec![topics]));
        OffsetFetchRequest::default().with_groups(vec![asked])
    })
    .await;
    all(&broker, 0, |_| {
        let partition = offset_delete_request::OffsetDeleteRequestPartition::default();
        let topics = offset_delete_request::OffsetDeleteRequestTopic::default()
            .with_name(topic("orders"))
            .with_partitions(vec![partition]);
        OffsetDeleteRequest::default()
            .with_group_id(group())
            .with_topics(vec![topics])
    })
    .await;
    all(&broker, 0, |_| ListGroupsRequest::default()).await;
    all(&broker, 0, |_| {
        DescribeGroupsRequest::default().with_groups(vec![group(), GroupId(text("unknown"))])
    })
    .await;
    all(&broker, 0, |_| {
        DeleteGroupsRequest::default().with_groups_names(vec![GroupId(text("unknown"))])
    })
    .await;
    all(&broker, 0, |version| {
        let made = create_topics_request::CreatableTopic::default()
            .with_name(topic(&format!("made-{version}")))
            .with_num_partitions(1)
            .with_replication_factor(1);
        let wrong = create_topics_request::CreatableTopic::default()
            .with_name(topic("orders"))
            .with_num_partitions(1)
            .with_replication_factor(1);
        CreateTopicsRequest::default().with_topics(vec![made, wrong])
    })
    .await;
    all(&broker, 0, |version| {
        let name = topic(&format!("made-{version}"));
        if version < 6 {
            return DeleteTopicsRequest::default().with_topic_names(vec![name]);
        }
        DeleteTopicsRequest::default().with_topics(vec![
            delete_topics_request::DeleteTopicState::default().with_name(Some(name)),
        ])
    })
    .await;
    all(&broker, 0, |version| {
        let more = create_partitions_request::CreatePartitionsTopic::default()
            .with_name(topic("orders"))
            .with_count(3 + i32::from(version));
        CreatePartitionsRequest::default().with_topics(vec![more])
    })
    .await;
    all(&broker, 0, |_| {
        let partition = delete_records_request::DeleteRecordsPartition::default().with_offset(-1);
        let topics = delete_records_request::DeleteRecordsTopic::default()
            .with_name(topic("orders"))
            .with_partitions(vec![partition]);
        DeleteRecordsRequest::default().with_topics(vec![topics])
    })
    .await;
    all(&broker, 0, |_| {
        let resource = describe_configs_request::DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"))
            .with_configuration_keys(None);
        DescribeConfigsRequest::default()
            .with_resources(vec![resource])
            .with_include_synonyms(true)
    })
    .await;
    all(&broker, 0, |_| {
        let config = incremental_alter_configs_request::AlterableConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text("5")));
        let resource = incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"))
            .with_configs(vec![config]);
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
    })
    .await;
    all(&broker, 0, |_| {
        let config = alter_configs_request::AlterableConfig::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text("1")));
        let resource = alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"))
            .with_configs(vec![config]);
        AlterConfigsRequest::default().with_resources(vec![resource])
    })
    .await;
    all(&broker, 0, |_| DescribeClusterRequest::default()).await;
    all(&broker, 0, |_| {
        ElectLeadersRequest::default().with_topic_partitions(None)
    })
    .await;
    all(&broker, 0, |_| {
        let name =
            describe_topic_partitions_request::TopicRequest::default().with_name(topic("orders"));
        DescribeTopicPartitionsRequest::default()
            .with_topics(vec![name])
            .with_response_partition_limit(100)
    })
    .await;
    all(&broker, 0, |_| {
        ConsumerGroupHeartbeatRequest::default().with_group_id(GroupId(text("members")))
    })
    .await;
    all(&broker, 0, |_| {
        ConsumerGroupDescribeRequest::default().with_group_ids(vec![group()])
    })
    .await;
    let mut called: Vec<ApiKey> = broker
        .journal()
        .entries()
        .iter()
        .map(|entry| entry.api())
        .collect();
    called.sort();
    called.dedup();
    let mut client = Client::to(&broker, 1).await;
    assert_eq!(
        called.len(),
        offered(&mut client).await.len(),
        "an offered API was not called here"
    );
    broker.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0_with_the_list() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::to(&broker, 1).await;
    let body = [0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 1, 2, 3];
    client
        .raw(&[&[0, 0, 0, body.len() as u8], &body[..]].concat())
        .await;
    let frame = client.frame().await.unwrap();
    assert_eq!(frame[..6], [0, 0, 0, 7, 0, 35]);
    let listed =
        milena_protocol::response::decode::<ApiVersionsRequest>(frame.slice(4..), 0).unwrap();
    assert!(
        listed
            .api_keys
            .iter()
            .any(|key| key.api_key == 18 && key.max_version == 4)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_modelled_ends_the_connection_or_is_refused() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::to(&broker, 1).await;
    assert!(
        client
            .try_call(&EndTxnRequest::default(), 3)
            .await
            .is_none()
    );
    let mut client = Client::to(&broker, 1).await;
    let transactional =
        InitProducerIdRequest::default().with_transactional_id(Some(TransactionalId(text("tx"))));
    let answer = client.call(&transactional, 4).await;
    assert_eq!(
        code(answer.error_code),
        Some(ErrorCode::UNSUPPORTED_VERSION)
    );
}
