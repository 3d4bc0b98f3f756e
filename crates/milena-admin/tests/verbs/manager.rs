//! Tests of comparing topics with the wanted settings.

use milena_admin::{NewTopic, TopicManager, TopicState};
use milena_core::ErrorKind;

use crate::world::{World, unique, until, within};

#[tokio::test]
async fn missing_topics_are_created_once_and_then_are_as_wanted() {
    let world = World::new().await;
    let name = unique("managed");
    let wanted = NewTopic::new(name.as_str())
        .partitions(3)
        .replication_factor(1)
        .config("retention.ms", "1000");
    let manager = TopicManager::new(world.admin.clone()).topic(wanted);
    let check = async || within(manager.check()).await.unwrap().all().unwrap();
    assert_eq!(check().await, [TopicState::Missing]);
    let ensured = within(manager.ensure()).await.unwrap().all().unwrap();
    assert_eq!(ensured, [TopicState::Created]);
    until(async || check().await == [TopicState::AsWanted]).await;
    let ensured = within(manager.ensure()).await.unwrap().all().unwrap();
    assert_eq!(ensured, [TopicState::AsWanted]);
}

#[tokio::test]
async fn topics_of_a_configuration_file_are_ensured() {
    let world = World::new().await;
    let (one, other) = (unique("file"), unique("file"));
    let text = format!(
        "title = \"mine\"\n[topics.{one}]\npartitions = 2\nreplication_factor = 1\n\
         configs = {{ \"retention.ms\" = 1000 }}\n[topics.{other}]\nreplication_factor = 1\n"
    );
    let manager = TopicManager::new(world.admin.clone()).toml(&text).unwrap();
    let ensured = within(manager.ensure()).await.unwrap();
    assert_eq!(
        ensured.of(one.as_str()).unwrap().clone().unwrap(),
        TopicState::Created
    );
    assert_eq!(
        ensured.of(other.as_str()).unwrap().clone().unwrap(),
        TopicState::Created
    );
    let states = async || within(manager.check()).await.unwrap().all();
    until(async || {
        states()
            .await
            .is_ok_and(|all| all == [TopicState::AsWanted, TopicState::AsWanted])
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_in_the_file_is_named() {
    let world = World::new().await;
    for (text, named) in [
        ("[topics.orders]\npartitions = 0", "partitions"),
        ("[topics.orders]\npartition = 1", "partition"),
        ("[topics.orders]\nconfigs = { x = [] }", "`x`"),
        ("[topics.\"no spaces\"]", "no spaces"),
        ("[topics", "line 1"),
    ] {
        let manager = TopicManager::new(world.admin.clone());
        let error = manager.toml(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[tokio::test]
async fn differences_are_reported_and_mended_only_where_that_is_asked_for() {
    let world = World::new().await;
    let name = world.topic(2).await;
    let wanted = NewTopic::new(name.as_str())
        .partitions(4)
        .replication_factor(2)
        .config("cleanup.policy", "compact");
    let manager = TopicManager::new(world.admin.clone()).topic(wanted);
    let ensured = within(manager.ensure()).await.unwrap().all().unwrap();
    let TopicState::Differs(differences) = &ensured[0] else {
        panic!("{ensured:?}");
    };
    let settings: Vec<_> = differences.iter().map(|each| &*each.setting).collect();
    assert_eq!(
        settings,
        ["partitions", "replication.factor", "cleanup.policy"]
    );
    assert!(ensured[0].to_string().contains("partitions is 2, wanted 4"));

    let manager = manager.mend(true);
    let ensured = within(manager.ensure()).await.unwrap().all().unwrap();
    let TopicState::Mended { mended, left } = &ensured[0] else {
        panic!("{ensured:?}");
    };
    assert_eq!(mended.len(), 2);
    assert_eq!(left[0].setting, "replication.factor");
}
