//! `milena topics`, which lists, describes, creates, alters, trims and deletes topics.

mod change;
mod show;

use clap::{Args, Subcommand};
use milena::TopicPartition;

use crate::args::setting;
use crate::failure::Failure;
use crate::session::Session;

pub(super) use change::{alter_configs, deleted_rows, key, state};

/// The action on topics.
#[derive(Debug, Subcommand)]
pub(crate) enum TopicsVerb {
    /// Lists topics.
    List {
        /// Also shows Kafka's own topics.
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
    /// Makes sure that the topics of a TOML file exist as written there, and shows differences.
    Ensure(Ensure),
    /// Deletes the oldest records of a topic or partition.
    Trim {
        /// The topic, or one partition of it.
        #[arg(value_name = "TOPIC[:PARTITION]", value_parser = scope)]
        place: Scope,
        /// Deletes the records before this offset. Without it, all records.
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
    /// The number of partitions. Without it, the cluster's default.
    #[arg(short, long, value_name = "N")]
    partitions: Option<i32>,
    /// The number of replicas of each partition. Without it, the cluster's default.
    #[arg(short, long, value_name = "N")]
    replication_factor: Option<i16>,
    /// Sets a config. May be given several times.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    configs: Vec<(String, String)>,
    /// Succeeds if the topic already exists.
    #[arg(long)]
    if_not_exists: bool,
    /// Only checks that it could be created.
    #[arg(long)]
    dry_run: bool,
}

/// Changes to a topic.
#[derive(Debug, Args)]
pub(crate) struct Alter {
    name: String,
    /// The number of partitions in all. Keys may go to other partitions from then on.
    #[arg(short, long, value_name = "N")]
    partitions: Option<i32>,
    #[command(flatten)]
    changes: super::configs::Changes,
}

/// The topics of a file.
#[derive(Debug, Args)]
pub(crate) struct Ensure {
    /// The file, with a table [topics.NAME] for each topic that has partitions, replication_factor
    /// and configs.
    file: std::path::PathBuf,
    /// Changes topics that differ, if that can be done in place.
    #[arg(long, conflicts_with = "check")]
    mend: bool,
    /// Only shows their state. Ends with code 1 if a topic is missing or differs.
    #[arg(long)]
    check: bool,
}

/// A whole topic, or one partition of it.
pub(crate) type Scope = (String, Option<u32>);

/// Reads `TOPIC` or `TOPIC:PARTITION`.
pub(crate) fn scope(text: &str) -> Result<Scope, String> {
    match text.rsplit_once(':') {
        None => Ok((text.to_owned(), None)),
        Some((topic, partition)) => match partition.parse() {
            Ok(partition) => Ok((topic.to_owned(), Some(partition))),
            Err(_) => Err(format!("'{partition}' is not a partition number")),
        },
    }
}

/// Returns the partitions of scopes. Fails if a topic does not exist.
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

pub(super) async fn run(verb: TopicsVerb, session: &Session) -> Result<(), Failure> {
    match verb {
        TopicsVerb::List { internal } => show::list(session, internal).await,
        TopicsVerb::Describe { names } => show::describe(session, names).await,
        TopicsVerb::Create(args) => change::create(session, args).await,
        TopicsVerb::Alter(args) => change::alter(session, args).await,
        TopicsVerb::Ensure(args) => change::ensure(session, args).await,
        TopicsVerb::Trim { place, before } => change::trim(session, place, before).await,
        TopicsVerb::Delete { names } => change::delete(session, names).await,
    }
}
