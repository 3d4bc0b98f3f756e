//! The commands that create, alter, compare, trim and delete topics.

use milena::admin::{
    ConfigChange, ConfigResource, DeleteUpTo, NewPartitions, NewTopic, TopicManager, TopicState,
};
use milena::{ErrorCode, Offset, Partition};
use serde_json::json;

use super::{Alter, Create, Ensure, Scope, places};
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

pub(super) async fn create(session: &Session, args: Create) -> Result<(), Failure> {
    let mut topic = NewTopic::new(args.name.as_str());
    if let Some(partitions) = args.partitions {
        topic = topic.partitions(partitions);
    }
    if let Some(replicas) = args.replication_factor {
        topic = topic.replication_factor(replicas);
    }
    for (key, value) in args.configs {
        topic = topic.config(key, value);
    }
    let created = match args.dry_run {
        true => session.admin.validate_topics([topic]).await?,
        false => session.admin.create_topics([topic]).await?,
    };
    match created.all() {
        Err(error)
            if args.if_not_exists && error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) =>
        {
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(created) => {
            let mut table = Table::new(&["topic", "partitions", "replication_factor", "id"]);
            for topic in created {
                table.row([
                    json!(topic.name.as_str()),
                    json!(topic.partitions),
                    json!(topic.replication_factor),
                    json!(topic.id.map(|id| id.to_string())),
                ]);
            }
            output::show(session.format(), &table)
        }
    }
}

pub(super) async fn alter(session: &Session, args: Alter) -> Result<(), Failure> {
    let (changes, dry_run) = args.changes.read();
    let configs: Vec<String> = changes.iter().map(key).collect();
    if changes.is_empty() && args.partitions.is_none() {
        return Err(Failure::usage(
            "there is nothing to change; give --partitions, --set or --unset",
        ));
    }
    if let Some(total) = args.partitions {
        let more = NewPartitions::new(args.name.as_str(), total);
        let done = match dry_run {
            true => session.admin.validate_partitions([more]).await?,
            false => session.admin.create_partitions([more]).await?,
        };
        done.all()?;
    }
    let resource = ConfigResource::topic(args.name.as_str());
    alter_configs(session, resource, changes, dry_run).await?;
    let mut table = Table::new(&["topic", "partitions", "configs", "state"]);
    table.row([
        json!(args.name),
        json!(args.partitions),
        json!(configs),
        json!(state(dry_run)),
    ]);
    output::show(session.format(), &table)
}

/// Returns the text for a change that was made, or only checked.
pub(in crate::commands) fn state(dry_run: bool) -> &'static str {
    match dry_run {
        true => "would be altered",
        false => "altered",
    }
}

/// Returns the key of a change.
pub(in crate::commands) fn key(change: &ConfigChange) -> String {
    match change {
        ConfigChange::Set(key, _)
        | ConfigChange::Unset(key)
        | ConfigChange::Append(key, _)
        | ConfigChange::Subtract(key, _) => key.clone(),
    }
}

/// Deletes topics, and shows each.
pub(super) async fn delete(session: &Session, names: Vec<String>) -> Result<(), Failure> {
    confirm(&session.global, &format!("delete {}", names.join(", ")))?;
    let deleted = session.admin.delete_topics(names).await?;
    session
        .good(deleted, |topics| {
            let names = topics.iter().map(|(topic, _)| topic.as_str());
            output::show(session.format(), &deleted_rows("topic", names))
        })
        .await
}

/// Returns a row for each deleted name.
pub(in crate::commands) fn deleted_rows<'a>(
    what: &'static str,
    names: impl Iterator<Item = &'a str>,
) -> Table {
    let mut table = Table::new(&[what, "state"]);
    for name in names {
        table.row([json!(name), json!("deleted")]);
    }
    table
}

/// Changes the configs of one resource.
pub(in crate::commands) async fn alter_configs(
    session: &Session,
    resource: ConfigResource,
    changes: Vec<ConfigChange>,
    dry_run: bool,
) -> Result<(), Failure> {
    if changes.is_empty() {
        return Ok(());
    }
    let changes = [(resource, changes)];
    let done = match dry_run {
        true => session.admin.validate_configs(changes).await,
        false => session.admin.alter_configs(changes).await,
    };
    done.all()?;
    Ok(())
}

pub(super) async fn ensure(session: &Session, args: Ensure) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file);
    let text = text.map_err(|error| Failure::input(&name, &error))?;
    let manager = TopicManager::new(session.admin.clone()).mend(args.mend);
    let manager = manager
        .topics_toml(&text)
        .map_err(|error| Failure::from(error).before(&name))?;
    let states = match args.check {
        true => manager.check().await?,
        false => manager.ensure().await?,
    };
    let mut differ = 0;
    let told = session.good(states, |states| {
        let mut table = Table::new(&["topic", "state"]);
        for (topic, state) in states {
            let fine = matches!(state, TopicState::Created | TopicState::AsWanted);
            let mended = matches!(&state, TopicState::Mended { left, .. } if left.is_empty());
            differ += usize::from(!fine && !mended);
            table.row([json!(topic.as_str()), json!(state.to_string())]);
        }
        output::show(session.format(), &table)
    });
    told.await?;
    match differ {
        0 => Ok(()),
        differ => Err(Failure::failed(format!(
            "{differ} topics differ from {name}"
        ))),
    }
}

pub(super) async fn trim(
    session: &Session,
    place: Scope,
    before: Option<i64>,
) -> Result<(), Failure> {
    let what = match before {
        Some(offset) => format!("records before offset {offset}"),
        None => "all records".to_owned(),
    };
    confirm(&session.global, &format!("delete {what} of {}", place.0))?;
    let upto = before
        .and_then(Offset::from_wire)
        .map_or(DeleteUpTo::End, DeleteUpTo::Offset);
    let places = places(session, vec![place]).await?;
    let places = places.into_iter().map(|place| (place, upto));
    let deleted = session.admin.delete_records(places).await;
    session
        .good(deleted, |deleted| {
            let mut table = Table::new(&["topic", "partition", "first_offset"]);
            for (place, first) in deleted {
                let number: Partition = place.partition;
                table.row([
                    json!(place.topic.as_str()),
                    json!(number.to_wire()),
                    json!(first.to_wire()),
                ]);
            }
            output::show(session.format(), &table)
        })
        .await
}
