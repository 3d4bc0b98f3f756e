//! The commands that list and describe topics.

use milena::admin::{ConfigResource, ConfigSource, TopicDescription};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

pub(super) async fn list(session: &Session, internal: bool) -> Result<(), Failure> {
    let mut table = Table::new(&["topic", "partitions", "id", "error"]);
    let topics = session.admin.list_topics().await?;
    for topic in topics.iter().filter(|topic| internal || !topic.internal) {
        table.row([
            json!(topic.name.as_str()),
            json!(topic.partitions),
            json!(topic.id.map(|id| id.to_string())),
            json!(topic.error.map(|code| code.to_string())),
        ]);
    }
    output::show(session.format(), &table)
}

pub(super) async fn describe(session: &Session, names: Vec<String>) -> Result<(), Failure> {
    let described = session.admin.describe_topics(names).await?;
    let mut found = Vec::new();
    let told = session.good(described, |topics| {
        found = topics;
        Ok(())
    });
    let told = told.await;
    let resources = found
        .iter()
        .map(|(name, _)| ConfigResource::Topic(name.clone()));
    let configs = session.admin.describe_configs(resources).await;
    let mut partitions = Table::new(&[
        "topic",
        "partition",
        "leader",
        "leader_epoch",
        "replicas",
        "in_sync",
        "offline",
    ]);
    let mut untold = Vec::new();
    let mut given = Table::new(&["topic", "config", "value", "source"]);
    for (_, topic) in &found {
        each_partition(topic, &mut partitions);
    }
    for (resource, entries) in configs.iter() {
        let ConfigResource::Topic(name) = resource else {
            continue;
        };
        let entries = match entries {
            Ok(entries) => &entries[..],
            // Configs that could not be read must not look like no configs.
            Err(error) => {
                untold.push(Failure::from(error.clone()));
                &[]
            }
        };
        for entry in entries
            .iter()
            .filter(|entry| entry.source == ConfigSource::Topic)
        {
            given.row([
                json!(name.as_str()),
                json!(entry.name),
                json!(entry.value),
                json!(entry.source.to_string()),
            ]);
        }
    }
    let value = json!({"partitions": partitions.to_value(), "configs": given.to_value()});
    let tables = match given.is_empty() {
        true => vec![partitions],
        false => vec![partitions, given],
    };
    if !found.is_empty() {
        output::show_with(session.format(), &tables, || value)?;
    }
    told?;
    match untold.pop() {
        None => Ok(()),
        Some(last) => {
            untold.iter().for_each(crate::complain);
            Err(last)
        }
    }
}

/// Adds a row for each partition of a topic.
fn each_partition(topic: &TopicDescription, table: &mut Table) {
    let nodes = |nodes: &[milena::NodeId]| {
        let each = nodes.iter().map(|node| json!(node.to_wire()));
        Value::Array(each.collect())
    };
    for partition in &topic.partitions {
        table.row([
            json!(topic.name.as_str()),
            json!(partition.partition.to_wire()),
            json!(partition.leader.map(milena::NodeId::to_wire)),
            json!(partition.leader_epoch.map(milena::LeaderEpoch::to_wire)),
            nodes(&partition.replicas),
            nodes(&partition.in_sync),
            nodes(&partition.offline),
        ]);
    }
}
