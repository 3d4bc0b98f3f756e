//! `milena configs`, which shows and alters configs of topics, brokers and groups.

use clap::{Args, Subcommand, ValueEnum};
use milena::NodeId;
use milena::admin::{ConfigChange, ConfigResource};
use serde_json::json;

use super::topics::{alter_configs, key, state};
use crate::args::setting;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// The action on configs.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigsVerb {
    /// Shows the configs of a topic, broker or group.
    Show {
        #[command(flatten)]
        of: Of,
        /// Also shows those at Kafka's own default.
        #[arg(long)]
        all: bool,
    },
    /// Sets and unsets configs. Others stay as they are.
    Alter {
        #[command(flatten)]
        of: Of,
        /// Alters the defaults of all brokers instead of one broker.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        changes: Changes,
    },
}

/// The topic, broker or group.
#[derive(Debug, Args)]
pub(crate) struct Of {
    /// The kind of resource.
    #[arg(value_enum)]
    kind: ResourceKind,
    /// The topic, the broker's number (without it, the defaults of all brokers), or the group.
    name: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ResourceKind {
    Topic,
    Broker,
    Group,
}

impl Of {
    /// Returns the resource that the options name.
    fn resource(self) -> Result<ConfigResource, Failure> {
        let name = |what: &str| Failure::usage(format!("give the name of the {what}"));
        match (self.kind, self.name) {
            (ResourceKind::Topic, topic) => topic
                .map(ConfigResource::topic)
                .ok_or_else(|| name("topic")),
            (ResourceKind::Group, group) => group
                .map(ConfigResource::Group)
                .ok_or_else(|| name("group")),
            (ResourceKind::Broker, None) => Ok(ConfigResource::AllBrokers),
            (ResourceKind::Broker, Some(number)) => {
                let node = number.parse().ok().and_then(NodeId::from_wire);
                let node = node.ok_or_else(|| {
                    Failure::usage(format!("'{number}' is not the number of a broker"))
                })?;
                Ok(ConfigResource::Broker(node))
            }
        }
    }
}

/// Changes of configs.
#[derive(Debug, Args)]
pub(crate) struct Changes {
    /// Sets a config. May be given several times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// Resets a config to its default. May be given several times.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Only checks that it could be changed.
    #[arg(long)]
    dry_run: bool,
}

impl Changes {
    /// Returns the changes, and true if they are only to be checked.
    pub(super) fn read(self) -> (Vec<ConfigChange>, bool) {
        let set = self.set.into_iter();
        let set = set.map(|(key, value)| ConfigChange::set(key, value));
        let unset = self.unset.into_iter().map(ConfigChange::unset);
        (set.chain(unset).collect(), self.dry_run)
    }
}

pub(super) async fn run(verb: ConfigsVerb, session: &Session) -> Result<(), Failure> {
    match verb {
        ConfigsVerb::Show { of, all } => {
            let resource = of.resource()?;
            let described = session.admin.describe_configs([resource]).await.all()?;
            let mut table = Table::new(&["config", "value", "source", "read_only"]);
            let entries = described.into_iter().flatten();
            for entry in entries.filter(|entry| all || !entry.is_default()) {
                table.row([
                    json!(entry.name),
                    json!(entry.value),
                    json!(entry.source.to_string()),
                    json!(entry.read_only),
                ]);
            }
            output::show(session.format(), &table)
        }
        ConfigsVerb::Alter { of, all, changes } => {
            let (changes, dry_run) = changes.read();
            if changes.is_empty() {
                return Err(Failure::usage(
                    "there is nothing to change; give --set or --unset",
                ));
            }
            let of_all = matches!((of.kind, &of.name), (ResourceKind::Broker, None));
            if of_all != all {
                return Err(Failure::usage(match of_all {
                    true => "give the number of a broker, or --all for the defaults of all brokers",
                    false => "--all means the defaults of all brokers, and takes no number",
                }));
            }
            let keys: Vec<String> = changes.iter().map(key).collect();
            if of_all && !dry_run {
                let what = format!("alter {} for all brokers", keys.join(", "));
                confirm(&session.global, &what)?;
            }
            let resource = of.resource()?;
            let mut table = Table::new(&["resource", "configs", "state"]);
            table.row([
                json!(resource.to_string()),
                json!(keys),
                json!(state(dry_run)),
            ]);
            alter_configs(session, resource, changes, dry_run).await?;
            output::show(session.format(), &table)
        }
    }
}
