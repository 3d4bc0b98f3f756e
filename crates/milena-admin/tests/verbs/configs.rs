//! Tests of describing configs with their sources, and of altering them by key.

use milena_admin::{ConfigChange, ConfigResource, ConfigSource};
use milena_core::ErrorCode;

use crate::world::{World, unique, until, within};

#[tokio::test]
async fn a_topics_config_is_set_and_goes_back_to_its_default() {
    let world = World::new().await;
    let topic = ConfigResource::topic(world.topic(1).await);
    let value = async || {
        let described = within(world.admin.describe_configs([topic.clone()])).await;
        let entries = described.all().unwrap().remove(0);
        let entry = entries.into_iter().find(|each| each.name == "retention.ms");
        let entry = entry.unwrap();
        (entry.value.unwrap(), entry.source)
    };
    let set = vec![
        ConfigChange::set("retention.ms", "86400000"),
        ConfigChange::set("cleanup.policy", "compact"),
    ];
    let altered = within(world.admin.alter_configs([(topic.clone(), set)])).await;
    altered.all().unwrap();
    let wanted = ("86400000".to_owned(), ConfigSource::Topic);
    until(async || value().await == wanted).await;
    let unset = vec![ConfigChange::unset("retention.ms")];
    let altered = within(world.admin.alter_configs([(topic.clone(), unset)])).await;
    altered.all().unwrap();
    until(async || value().await.1 != ConfigSource::Topic).await;
}

#[tokio::test]
async fn a_change_that_is_only_validated_changes_nothing() {
    let world = World::new().await;
    let topic = ConfigResource::topic(world.topic(1).await);
    let set = vec![ConfigChange::set("retention.ms", "1000")];
    let validated = within(world.admin.validate_configs([(topic.clone(), set)])).await;
    validated.all().unwrap();
    let described = within(world.admin.describe_configs([topic])).await;
    let entries = described.all().unwrap().remove(0);
    let entry = entries.iter().find(|each| each.name == "retention.ms");
    assert_ne!(entry.unwrap().source, ConfigSource::Topic);
}

#[tokio::test]
async fn each_resource_succeeds_or_fails_alone() {
    let world = World::new().await;
    let good = ConfigResource::topic(world.topic(1).await);
    let bad = ConfigResource::topic(world.topic(1).await);
    let missing = ConfigResource::topic(unique("missing"));
    let change = |value: &str| vec![ConfigChange::set("retention.ms", value)];
    let changes = [
        (good.clone(), change("1000")),
        (bad.clone(), change("many")),
        (missing.clone(), change("1000")),
    ];
    let altered = within(world.admin.alter_configs(changes)).await;
    assert!(altered.of(&good).unwrap().is_ok());
    let error = altered.of(&bad).unwrap().clone().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_CONFIG));
    assert!(error.to_string().contains("retention.ms"), "{error}");
    let error = altered.of(&missing).unwrap().clone().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}

#[tokio::test]
async fn a_brokers_configs_are_asked_of_that_broker() {
    let world = World::with_brokers(2).await;
    let cluster = within(world.admin.describe_cluster()).await.unwrap();
    let node = cluster.brokers.last().unwrap().node;
    let resource = ConfigResource::Broker(node);
    let described = within(world.admin.describe_configs([resource])).await;
    let entries = described.all().unwrap().remove(0);
    let of = |name: &str| entries.iter().find(|each| each.name == name).unwrap();
    let entry = of("node.id");
    assert_eq!(entry.value.as_deref(), Some(&*node.to_wire().to_string()));
    assert!(entry.read_only);
    assert!(!of("message.max.bytes").read_only);
}
