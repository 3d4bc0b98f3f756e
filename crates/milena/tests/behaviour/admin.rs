//! Topics are created, described, listed and deleted. Errors name the topic.

use milena::admin::NewTopic;
use milena::{ErrorCode, ErrorKind};

use crate::cluster::{World, unique, within};

#[tokio::test]
async fn a_topic_is_created_described_listed_and_deleted() {
    let world = World::new().await;
    let admin = world.client.admin();
    let name = unique("admin");
    let created = within(
        admin.create_topics([NewTopic::new(name.as_str())
            .partitions(3)
            .replication_factor(1)]),
    )
    .await;
    assert_eq!(created.unwrap().all().unwrap()[0].partitions, Some(3));

    let described = within(async {
        // Brokers learn of a new topic one after the other.
        loop {
            let described = admin.describe_topics([name.as_str()]).await.unwrap().all();
            match described {
                Err(error) if error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                    tokio::task::yield_now().await;
                }
                described => break described.unwrap(),
            }
        }
    })
    .await;
    assert_eq!(described[0].partitions.len(), 3);
    assert!(
        described[0]
            .partitions
            .iter()
            .all(|partition| partition.leader.is_some())
    );
    let listed = within(admin.list_topics()).await.unwrap();
    assert!(
        listed
            .iter()
            .any(|topic| topic.name == name.as_str() && topic.partitions == 3 && !topic.internal)
    );

    within(admin.delete_topics([name.as_str()]))
        .await
        .unwrap()
        .all()
        .unwrap();
    within(async {
        // Brokers learn of a deleted topic one after the other.
        while admin
            .list_topics()
            .await
            .unwrap()
            .iter()
            .any(|topic| topic.name == name.as_str())
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let gone = within(admin.describe_topics([name.as_str()]))
        .await
        .unwrap()
        .all()
        .unwrap_err();
    assert_eq!(gone.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(gone.to_string().contains(&name), "{gone}");
}

#[tokio::test]
async fn each_topic_succeeds_or_fails_alone() {
    let world = World::new().await;
    let admin = world.client.admin();
    let (twice, fresh) = (world.topic(1).await, unique("fresh"));
    let topics = [
        NewTopic::new(&twice).partitions(1).replication_factor(1),
        NewTopic::new("no spaces, please"),
        NewTopic::new(fresh.as_str())
            .partitions(2)
            .replication_factor(1),
        NewTopic::new(unique("wide"))
            .partitions(1)
            .replication_factor(99),
    ];
    let results: Vec<_> = within(admin.create_topics(topics))
        .await
        .unwrap()
        .into_iter()
        .collect();
    let error = |at: usize| results[at].1.as_ref().unwrap_err();
    assert_eq!(error(0).code(), Some(ErrorCode::TOPIC_ALREADY_EXISTS));
    assert!(error(0).to_string().contains(twice.as_str()));
    assert_eq!(error(1).kind(), ErrorKind::Config);
    assert!(results[2].1.is_ok());
    assert_eq!(error(3).code(), Some(ErrorCode::INVALID_REPLICATION_FACTOR));
}
