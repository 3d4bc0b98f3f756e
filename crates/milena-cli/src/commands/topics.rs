//! `milena topics`: list, describe, create, alter, trim, delete.

use clap::{Args, Subcommand};
use milena::admin::{
    ConfigChange, ConfigResource, ConfigSource, DeleteUpTo, NewPartitions, NewTopic,
    TopicDescription, TopicManager, TopicState,
};
use milena::{ErrorCode, Offset, Partition, TopicPartition};
use serde_json::{Value, json};

use crate::args::setting;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// What is done with topics.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists topics.
    List {
        /// Shows Kafka's own topics, too.
        #[arg(long)]
        internal: bool,
    },
    /// Describes topics with their partitions and the configs that were set for them.
    Describe {
        /// The topics.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Creates a topic.
    Create(Create),
    /// Adds partitions to a topic, and sets or unsets its configs.
    Alter(Alter),
    /// Makes sure that the topics of a TOML file exist as written there, and says where they differ.
    Ensure(Ensure),
    /// Deletes the oldest records of a topic or partition.
    Trim {
        /// The topic, or one partition of it.
        #[arg(value_name = "TOPIC[:PARTITION]", value_parser = scope)]
        place: Scope,
        /// Deletes what lies before this offset; without it, all records.
        #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
        before: Option<i64>,
    },
    /// Deletes topics with everything in them.
    Delete {
        /// The topics.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// A new topic.
#[derive(Debug, Args)]
pub(crate) struct Create {
    name: String,
    /// How many partitions; without it, as the cluster's defaults say.
    #[arg(short, long, value_name = "N")]
    partitions: Option<i32>,
    /// How many replicas of each; without it, as the cluster's defaults say.
    #[arg(short, long, value_name = "N")]
    replication_factor: Option<i16>,
    /// Sets a config; may be given again.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,
    /// Is content with a topic that is there already.
    #[arg(long)]
    if_not_exists: bool,
    /// Only asks whether it could be created.
    #[arg(long)]
    dry_run: bool,
}

/// Changes to a topic.
#[derive(Debug, Args)]
pub(crate) struct Alter {
    name: String,
    /// How many partitions it shall have in all; keys may land elsewhere from then on.
    #[arg(short, long, value_name = "N")]
    partitions: Option<i32>,
    #[command(flatten)]
    changes: super::configs::Changes,
}

/// Topics of a file.
#[derive(Debug, Args)]
pub(crate) struct Ensure {
    /// The file: a table [topics.NAME] each, with partitions, replication_factor and configs.
    file: std::path::PathBuf,
    /// Changes topics that differ, where that can be done in place.
    #[arg(long, conflicts_with = "check")]
    mend: bool,
    /// Only says how they stand; ends with code 1 where one is missing or differs.
    #[arg(long)]
    check: bool,
}

/// All of a topic, or one partition of it.
pub(crate) type Scope = (String, Option<u32>);

/// Reads `TOPIC` or `TOPIC:PARTITION`.
pub(crate) fn scope(text: &str) -> Result<Scope, String> {
    match text.rsplit_once(':') {
        None => Ok((text.to_owned(), None)),
        Some((topic, partition)) => match partition.parse() {
            Ok(partition) => Ok((topic.to_owned(), Some(partition))),
            Err(_) => Err(format!("'{partition}' is no partition")),
        },
    }
}

/// The partitions of scopes; a topic that does not exist is a failure.
pub(crate) async fn places(
    session: &Session,
    scopes: Vec<Scope>,
) -> Result<Vec<TopicPartition>, Failure> {
    let mut places = Vec::new();
    for (topic, partition) in scopes {
        let count = session.partitions_of(&topic).await?;
        let numbers = match partition {
            Some(partition) => partition..partition.saturating_add(1),
            None => 0..count,
        };
        places.extend(numbers.map(|number| TopicPartition::new(&*topic, number)));
    }
    Ok(places)
}

pub(super) async fn run(verb: Verb, session: &Session) -> Result<(), Failure> {
    match verb {
        Verb::List { internal } => list(session, internal).await,
        Verb::Describe { names } => describe(session, names).await,
        Verb::Create(args) => create(session, args).await,
        Verb::Alter(args) => alter(session, args).await,
        Verb::Ensure(args) => ensure(session, args).await,
        Verb::Trim { place, before } => trim(session, place, before).await,
        Verb::Delete { names } => {
            confirm(&session.global, &format!("delete {}", names.join(", ")))?;
            let deleted = session.admin.delete_topics(names).await?;
            session.good(deleted, |_| Ok(())).await
        }
    }
}

async fn list(session: &Session, internal: bool) -> Result<(), Failure> {
    let mut table = Table::new(&["topic", "partitions", "id"]);
    let topics = session.admin.list_topics().await?;
    for topic in topics.iter().filter(|topic| internal || !topic.internal) {
        table.row([
            json!(topic.name.as_str()),
            json!(topic.partitions),
            json!(topic.id.map(|id| id.to_string())),
        ]);
    }
    output::show(session.format(), &table)
}

async fn describe(session: &Session, names: Vec<String>) -> Result<(), Failure> {
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
    let mut given = Table::new(&["topic", "config", "value", "source"]);
    for (_, topic) in &found {
        each_partition(topic, &mut partitions);
    }
    for (resource, entries) in configs.iter() {
        let ConfigResource::Topic(name) = resource else {
            continue;
        };
        let entries = entries.as_ref().map_or(&[][..], Vec::as_slice);
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
    told
}

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

async fn create(session: &Session, args: Create) -> Result<(), Failure> {
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

async fn alter(session: &Session, args: Alter) -> Result<(), Failure> {
    let (changes, dry_run) = args.changes.read();
    if changes.is_empty() && args.partitions.is_none() {
        return Err(Failure::usage(
            "nothing to change: --partitions, --set or --unset",
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
    alter_configs(session, resource, changes, dry_run).await
}

/// Changes the configs of one resource.
pub(super) async fn alter_configs(
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

async fn ensure(session: &Session, args: Ensure) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file);
    let text = text.map_err(|error| Failure::input(&name, &error))?;
    let manager = TopicManager::new(session.admin.clone()).mend(args.mend);
    let manager = manager
        .toml(&text)
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
            "{differ} topics are not as {name} wants them"
        ))),
    }
}

async fn trim(session: &Session, place: Scope, before: Option<i64>) -> Result<(), Failure> {
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
