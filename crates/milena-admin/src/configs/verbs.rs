//! The verbs over configs: describe and alter.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use milena_pool::Target;
use milena_protocol::messages::describe_configs_request::DescribeConfigsResource;
use milena_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use milena_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::{ConfigChange, ConfigEntry, ConfigResource};
use crate::PerItem;
use crate::admin::{Admin, moved};
use crate::answers::{check, unanswered, wire};

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
                    let mut entries: Vec<_> = told.configs.iter().map(ConfigEntry::read).collect();
                    entries.sort_by(|one, other| one.name.cmp(&other.name));
                    Ok(entries)
                })
                .map_err(|error| resource.place(error));
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
            let asked = AlterConfigsResource::default()
                .with_resource_type(resource.kind())
                .with_resource_name(wire(resource.name()))
                .with_configs(changes.iter().map(ConfigChange::to_wire).collect());
            let request = IncrementalAlterConfigsRequest::default()
                .with_resources(vec![asked])
                .with_validate_only(validate_only);
            let codes = |answer: &IncrementalAlterConfigsResponse| {
                answer.responses.iter().any(|each| moved(each.error_code))
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
