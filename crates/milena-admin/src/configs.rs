//! Configs of topics, brokers and groups: described with their sources, and altered key by key.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::future::join_all;
use milena_core::{Error, ErrorCode, ErrorKind, NodeId, TopicName};
use milena_pool::Target;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::describe_configs_request::DescribeConfigsResource;
use milena_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use milena_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use milena_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{check, unanswered, wire};

/// What has configs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// One broker; asked of that broker.
    Broker(NodeId),
    /// The dynamic defaults of all brokers.
    AllBrokers,
    /// A consumer group (Kafka 3.8 and later).
    Group(String),
}

impl ConfigResource {
    /// A topic.
    pub fn topic(name: impl Into<TopicName>) -> Self {
        Self::Topic(name.into())
    }

    fn kind(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) | Self::AllBrokers => 4,
            Self::Group(_) => 32,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.to_string(),
            Self::Broker(node) => node.to_wire().to_string(),
            Self::AllBrokers => String::new(),
            Self::Group(group) => group.clone(),
        }
    }

    fn target(&self) -> Target {
        match self {
            Self::Broker(node) => Target::Node(*node),
            _ => Target::Controller,
        }
    }

    fn place(&self, error: Error) -> Error {
        match self {
            Self::Topic(name) => error.topic(name),
            Self::Broker(node) => error.node(*node),
            Self::AllBrokers => error,
            // What brokers say that do not know groups as resources.
            Self::Group(group) if error.code() == Some(ErrorCode::INVALID_REQUEST) => {
                let what = "the broker keeps no configs of groups; Kafka 4 does";
                let error = Error::new(ErrorKind::Unsupported, what).with_source(error);
                error.group(group.as_str())
            }
            Self::Group(group) => error.group(group.as_str()),
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(node) => write!(f, "broker {node}"),
            Self::AllBrokers => f.write_str("all brokers"),
            Self::Group(group) => write!(f, "group {group}"),
        }
    }
}

/// One config of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Kafka's key.
    pub name: String,
    /// The value in effect; `None` where it is sensitive or not set.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it can only be set in the broker's properties file.
    pub read_only: bool,
    /// Whether brokers keep the value to themselves, as a password.
    pub sensitive: bool,
}

impl ConfigEntry {
    /// Whether nobody has set it: the value is Kafka's own default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// Where a config's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set for this topic.
    Topic,
    /// Set for this broker while it runs.
    Broker,
    /// Set for all brokers while they run.
    AllBrokers,
    /// Set in the broker's properties file.
    File,
    /// Set for this group.
    Group,
    /// Kafka's own default.
    Default,
    /// A source that this version of milena has no name for.
    Other,
}

impl ConfigSource {
    fn from_wire(raw: i8) -> Self {
        match raw {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::AllBrokers,
            4 => Self::File,
            5 => Self::Default,
            8 => Self::Group,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Broker => "broker",
            Self::AllBrokers => "all brokers",
            Self::File => "file",
            Self::Group => "group",
            Self::Default => "default",
            Self::Other => "other",
        })
    }
}

/// What is to become of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigChange {
    /// It gets this value.
    Set(String, String),
    /// It goes back to what holds without it.
    Unset(String),
    /// This word is added to its list.
    Append(String, String),
    /// This word is taken from its list.
    Subtract(String, String),
}

impl ConfigChange {
    /// `key` gets `value`.
    pub fn set(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Set(key.into(), value.into())
    }

    /// `key` goes back to what holds without it.
    pub fn unset(key: impl Into<String>) -> Self {
        Self::Unset(key.into())
    }

    fn to_wire(&self) -> AlterableConfig {
        let (key, operation, value) = match self {
            Self::Set(key, value) => (key, 0, Some(value)),
            Self::Unset(key) => (key, 1, None),
            Self::Append(key, value) => (key, 2, Some(value)),
            Self::Subtract(key, value) => (key, 3, Some(value)),
        };
        AlterableConfig::default()
            .with_name(wire(key))
            .with_config_operation(operation)
            .with_value(value.map(wire))
    }
}

impl Admin {
    /// Describes the configs of resources, by key. Each succeeds or fails alone.
    ///
    /// # Errors
    /// Of an item: `UNKNOWN_TOPIC_OR_PARTITION`, `INVALID_REQUEST` and their like; why its broker did not answer;
    /// [`Unsupported`](milena_core::ErrorKind::Unsupported) for a group on a broker that keeps no configs of groups.
    ///
    /// # References
    /// DescribeConfigs, api key 32, versions 1 to 4; a broker's configs are asked of that broker.
    pub async fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
    ) -> PerItem<ConfigResource, Vec<ConfigEntry>> {
        let describe = |resource: ConfigResource| async move {
            let asked = DescribeConfigsResource::default()
                .with_resource_type(resource.kind())
                .with_resource_name(wire(resource.name()))
                .with_configuration_keys(None);
            let request = DescribeConfigsRequest::default().with_resources(vec![asked]);
            let told = self
                .ask(&resource.target(), |_| Ok(request.clone()))
                .await
                .and_then(|answer| {
                    let told = answer.results.into_iter().next();
                    let told = told.ok_or_else(|| unanswered("DescribeConfigs"))?;
                    check(
                        told.error_code,
                        told.error_message.as_ref(),
                        "DescribeConfigs",
                    )?;
                    let mut entries: Vec<_> = told.configs.iter().map(entry).collect();
                    entries.sort_by(|one, other| one.name.cmp(&other.name));
                    Ok(entries)
                })
                .map_err(|error| resource.place(error));
            (resource, told)
        };
        PerItem::new(join_all(resources.into_iter().map(describe)).await)
    }

    /// Changes configs of resources, key by key; what is not named stays. Each resource succeeds or fails alone, and as a whole.
    ///
    /// # Errors
    /// Of an item: `INVALID_CONFIG` with the broker's words, `UNKNOWN_TOPIC_OR_PARTITION` and their like; why its broker did not answer;
    /// [`Unsupported`](milena_core::ErrorKind::Unsupported) of a broker before Kafka 2.3, and for a group as
    /// [`describe_configs`](Self::describe_configs).
    ///
    /// # Cancel safety
    /// Dropped before it resolves, the changes may or may not be made.
    ///
    /// # References
    /// IncrementalAlterConfigs, api key 44 (KIP-339).
    pub async fn alter_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<ConfigChange>)>,
    ) -> PerItem<ConfigResource, ()> {
        self.change_configs(changes, false).await
    }

    /// Asks whether configs could be changed, and changes none (`validate_only`).
    pub async fn validate_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<ConfigChange>)>,
    ) -> PerItem<ConfigResource, ()> {
        self.change_configs(changes, true).await
    }

    async fn change_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<ConfigChange>)>,
        validate_only: bool,
    ) -> PerItem<ConfigResource, ()> {
        // Of changes to one resource one request must hold all: brokers refuse a resource that occurs twice.
        let mut merged: BTreeMap<ConfigResource, Vec<ConfigChange>> = BTreeMap::new();
        for (resource, changes) in changes {
            merged.entry(resource).or_default().extend(changes);
        }
        let alter = |(resource, changes): (ConfigResource, Vec<ConfigChange>)| async move {
            let asked = AlterConfigsResource::default()
                .with_resource_type(resource.kind())
                .with_resource_name(wire(resource.name()))
                .with_configs(changes.iter().map(ConfigChange::to_wire).collect());
            let request = IncrementalAlterConfigsRequest::default()
                .with_resources(vec![asked])
                .with_validate_only(validate_only);
            let codes = |answer: &milena_protocol::messages::IncrementalAlterConfigsResponse| {
                answer
                    .responses
                    .iter()
                    .any(|each| crate::admin::moved(each.error_code))
            };
            let answered = match resource.target() {
                Target::Controller => self.at_controller(|_| Ok(request.clone()), codes).await,
                target => self.ask(&target, |_| Ok(request.clone())).await,
            };
            let done = answered
                .and_then(|answer| {
                    let told = answer.responses.first();
                    let told = told.ok_or_else(|| unanswered("IncrementalAlterConfigs"))?;
                    let words = told.error_message.as_ref();
                    check(told.error_code, words, "IncrementalAlterConfigs")
                })
                .map_err(|error| resource.place(error));
            (resource, done)
        };
        PerItem::new(join_all(merged.into_iter().map(alter)).await)
    }
}

fn entry(told: &DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: told.name.to_string(),
        value: told.value.as_ref().map(StrBytes::to_string),
        source: ConfigSource::from_wire(told.config_source),
        read_only: told.read_only,
        sensitive: told.is_sensitive,
    }
}
