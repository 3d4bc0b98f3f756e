//! Resources with configs, and the verbs that describe and alter them.

use std::collections::BTreeMap;
use std::fmt;

use futures_util::future::join_all;
use milena_core::{Error, ErrorCode, ErrorKind, NodeId, Result, TopicName};
use milena_pool::Target;
use milena_protocol::messages::describe_configs_request::DescribeConfigsResource;
use milena_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use milena_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::types::{ConfigChange, ConfigEntry};
use crate::PerItem;
use crate::admin::{Admin, moved};
use crate::answers::{check, unanswered, wire};

/// A resource with configs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// One broker. The request is sent to that broker.
    Broker(NodeId),
    /// The dynamic defaults of all brokers.
    AllBrokers,
    /// A consumer group (Kafka 4.0 and later).
    Group(String),
}

impl ConfigResource {
    /// Returns the resource of a topic.
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

    /// Asks the resource's broker for all its configs, sorted by key.
    async fn describe(&self, admin: &Admin) -> Result<Vec<ConfigEntry>> {
        let asked = DescribeConfigsResource::default()
            .with_resource_type(self.kind())
            .with_resource_name(wire(self.name()))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![asked]);
        let answer = admin.ask(&self.target(), |_| Ok(request.clone())).await?;
        let told = answer.results.into_iter().next();
        let told = told.ok_or_else(|| unanswered("DescribeConfigs"))?;
        let words = told.error_message.as_ref();
        check(told.error_code, words, "DescribeConfigs")?;
        let mut entries: Vec<_> = told.configs.iter().map(ConfigEntry::read).collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Changes configs of the resource, all together. With `validate_only`, changes nothing.
    async fn alter(
        &self,
        admin: &Admin,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<()> {
        let asked = AlterConfigsResource::default()
            .with_resource_type(self.kind())
            .with_resource_name(wire(self.name()))
            .with_configs(changes.iter().map(ConfigChange::to_wire).collect());
        let request = IncrementalAlterConfigsRequest::default()
            .with_resources(vec![asked])
            .with_validate_only(validate_only);
        let codes = |answer: &IncrementalAlterConfigsResponse| {
            answer.responses.iter().any(|each| moved(each.error_code))
        };
        let answer = match self.target() {
            Target::Controller => admin.at_controller(|_| Ok(request.clone()), codes).await?,
            target => admin.ask(&target, |_| Ok(request.clone())).await?,
        };
        let told = answer.responses.first();
        let told = told.ok_or_else(|| unanswered("IncrementalAlterConfigs"))?;
        let words = told.error_message.as_ref();
        check(told.error_code, words, "IncrementalAlterConfigs")
    }

    /// Names the resource in an error about it.
    fn place(&self, error: Error) -> Error {
        match self {
            Self::Topic(name) => error.topic(name),
            Self::Broker(node) => error.node(*node),
            Self::AllBrokers => error,
            // Brokers that do not know groups as resources answer with this code.
            Self::Group(group) if error.code() == Some(ErrorCode::INVALID_REQUEST) => {
                let what = "the broker does not support configs of groups; Kafka 4.0 and later do";
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

impl Admin {
    /// Describes the configs of resources, sorted by key. Each resource succeeds or fails
    /// separately.
    ///
    /// # Errors
    /// An item fails with `UNKNOWN_TOPIC_OR_PARTITION`, `INVALID_REQUEST` and so on, or if its
    /// broker does not answer. It fails with [`Unsupported`](milena_core::ErrorKind::Unsupported)
    /// for a group, if the broker does not support configs of groups.
    ///
    /// # References
    /// DescribeConfigs, api key 32, versions 1 to 4. For the configs of a broker it is sent to that
    /// broker.
    pub async fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
    ) -> PerItem<ConfigResource, Vec<ConfigEntry>> {
        let describe = |resource: ConfigResource| async move {
            let told = resource.describe(self).await;
            let told = told.map_err(|error| resource.place(error));
            (resource, told)
        };
        PerItem::new(join_all(resources.into_iter().map(describe)).await)
    }

    /// Changes configs of resources by key. Keys that are not named stay unchanged. Each resource
    /// succeeds or fails separately, with all its changes together.
    ///
    /// # Errors
    /// An item fails with `INVALID_CONFIG` and the broker's message, with
    /// `UNKNOWN_TOPIC_OR_PARTITION` and so on, or if its broker does not answer. It fails with
    /// [`Unsupported`](milena_core::ErrorKind::Unsupported) on brokers before Kafka 2.3, and for a
    /// group like with [`describe_configs`](Self::describe_configs).
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the changes may or may not be made.
    ///
    /// # References
    /// IncrementalAlterConfigs, api key 44 (KIP-339).
    pub async fn alter_configs(
        &self,
        changes: impl IntoIterator<Item = (ConfigResource, Vec<ConfigChange>)>,
    ) -> PerItem<ConfigResource, ()> {
        self.change_configs(changes, false).await
    }

    /// Checks if configs could be changed, without changing any (`validate_only`).
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
        // Merge the changes of each resource, because brokers refuse a request that names a
        // resource twice.
        let mut merged: BTreeMap<ConfigResource, Vec<ConfigChange>> = BTreeMap::new();
        for (resource, changes) in changes {
            merged.entry(resource).or_default().extend(changes);
        }
        let alter = |(resource, changes): (ConfigResource, Vec<ConfigChange>)| async move {
            let done = resource.alter(self, &changes, validate_only).await;
            let done = done.map_err(|error| resource.place(error));
            (resource, done)
        };
        PerItem::new(join_all(merged.into_iter().map(alter)).await)
    }
}
