//! DescribeConfigs, IncrementalAlterConfigs and AlterConfigs, for topics and brokers.

use std::sync::Arc;

use milena_core::ErrorCode;
use milena_protocol::messages::describe_configs_request::DescribeConfigsResource;
use milena_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use milena_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use milena_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use milena_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs_request,
    alter_configs_response,
};

use crate::broker_config::{Change, Shown};
use crate::context::{Answer, Context, text};
use crate::refused::Refused;
use crate::subject::TOPIC_RESOURCE as TOPIC;
use crate::topic::{Topic, TopicConfig};

/// Serves a DescribeConfigs request.
pub(super) fn describe(context: &Context, request: &DescribeConfigsRequest) -> Answer {
    let results = request.resources.iter().map(|resource| {
        let told = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match entries(context, resource, request.include_synonyms) {
            Ok(configs) => told.with_configs(configs),
            Err((code, why)) => told
                .with_error_code(context.code(code))
                .with_error_message(Some(text(why))),
        }
    });
    let answer = DescribeConfigsResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_results(results.collect());
    context.answer::<DescribeConfigsRequest>(&answer)
}

/// Returns the error that a fault demands for a resource.
fn fault(context: &Context, kind: i8, name: &str) -> Result<(), Refused> {
    let demanded = match kind {
        TOPIC => context.fault_of_topic(name),
        _ => context.fault(),
    };
    demanded.map_err(|code| (code, String::new()))
}

/// Returns the wanted settings of one resource.
fn entries(
    context: &Context,
    resource: &DescribeConfigsResource,
    synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    fault(context, resource.resource_type, &resource.resource_name)?;
    let wanted = |key: &str| match &resource.configuration_keys {
        Some(keys) => keys.iter().any(|wanted| wanted.as_str() == key),
        None => true,
    };
    let mut shown = match Resource::of(context, resource.resource_type, &resource.resource_name)? {
        Resource::Topic(topic) => {
            let config = topic.config.read();
            let entries = config.entries();
            let each = entries.map(|(key, value, given, kind)| Shown {
                key,
                value: value.to_owned(),
                kind,
                read_only: false,
                source: if given { GIVEN } else { DEFAULT },
            });
            each.collect()
        }
        Resource::Broker(node) => {
            let cluster = &context.cluster;
            cluster.broker_configs.shown(&cluster.settings, node)
        }
    };
    shown.retain(|each| wanted(each.key));
    let told = shown.into_iter().map(|each| {
        let mut told = DescribeConfigsResourceResult::default()
            .with_name(text(each.key))
            .with_value(Some(text(each.value.as_str())))
            .with_read_only(each.read_only)
            .with_config_source(each.source);
        if synonyms {
            told.synonyms.push(
                DescribeConfigsSynonym::default()
                    .with_name(text(each.key))
                    .with_value(Some(text(each.value)))
                    .with_source(each.source),
            );
        }
        if context.version >= 3 {
            told.config_type = each.kind.to_wire();
        }
        told
    });
    Ok(told.collect())
}

/// A resource that has settings.
enum Resource {
    Topic(Arc<Topic>),
    /// A broker, or the defaults of all brokers for `None`.
    Broker(Option<i32>),
}

impl Resource {
    /// Finds the resource that a request names.
    fn of(context: &Context, kind: i8, name: &str) -> Result<Self, Refused> {
        match kind {
            TOPIC => {
                let topic = context.cluster.topic(name);
                let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, String::new());
                topic.map(Self::Topic).ok_or(unknown)
            }
            BROKER if name.is_empty() => Ok(Self::Broker(None)),
            BROKER => {
                let node = name.parse().ok();
                let known = node.filter(|node| context.cluster.node(*node).is_some());
                known.map(|node| Self::Broker(Some(node))).ok_or_else(|| {
                    let what = format!(
                        "Unexpected broker id, expected one of the cluster's or empty string, but received {name}"
                    );
                    (ErrorCode::INVALID_REQUEST, what)
                })
            }
            other => {
                let what = format!("Unsupported resource type: {other}");
                Err((ErrorCode::INVALID_REQUEST, what))
            }
        }
    }
}

/// Serves an IncrementalAlterConfigs request.
pub(super) fn alter(context: &Context, request: &IncrementalAlterConfigsRequest) -> Answer {
    let responses = request.resources.iter().map(|resource| {
        let told = AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match alter_one(context, resource, request.validate_only) {
            Ok(()) => told,
            Err((code, why)) => told
                .with_error_code(context.code(code))
                .with_error_message(Some(text(why))),
        }
    });
    let answer = IncrementalAlterConfigsResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_responses(responses.collect());
    context.answer::<IncrementalAlterConfigsRequest>(&answer)
}

/// Changes the settings of one resource. `dry` only checks the changes.
fn alter_one(context: &Context, resource: &AlterConfigsResource, dry: bool) -> Result<(), Refused> {
    fault(context, resource.resource_type, &resource.resource_name)?;
    let target = Resource::of(context, resource.resource_type, &resource.resource_name)?;
    let mut changes = Vec::with_capacity(resource.configs.len());
    for entry in &resource.configs {
        let (key, value) = (entry.name.as_str(), entry.value.as_deref());
        match (entry.config_operation, value) {
            (SET, Some(value)) => changes.push((key, Some(value))),
            (DELETE, _) => changes.push((key, None)),
            (SET, None) => return Err(null_value(key)),
            _ => {
                return Err((ErrorCode::INVALID_CONFIG, format!("{key} is not a list")));
            }
        }
    }
    match target {
        Resource::Topic(topic) => {
            let changed = topic.config.read().clone();
            change_topic(&topic, changed, &changes, dry)
        }
        Resource::Broker(node) => {
            let configs = &context.cluster.broker_configs;
            configs.change(node, &changes, dry)
        }
    }
}

/// Returns the refusal of a null value.
fn null_value(key: &str) -> Refused {
    let what = format!("Null value not supported for {key}");
    (ErrorCode::INVALID_REQUEST, what)
}

/// Applies `changes` to `base`, and makes the result the settings of `topic`. `dry` only checks the
/// changes.
fn change_topic(
    topic: &Topic,
    base: TopicConfig,
    changes: &[Change<'_>],
    dry: bool,
) -> Result<(), Refused> {
    let mut changed = base;
    for (key, value) in changes {
        match value {
            Some(value) => changed
                .set(key, value)
                .map_err(|why| (ErrorCode::INVALID_CONFIG, why))?,
            None => changed.unset(key),
        }
    }
    if !dry {
        *topic.config.write() = changed;
    }
    Ok(())
}

/// Serves an AlterConfigs request. Settings that it does not name go back to their defaults.
pub(super) fn replace(context: &Context, request: &AlterConfigsRequest) -> Answer {
    let responses = request.resources.iter().map(|resource| {
        let told = alter_configs_response::AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match replace_one(context, resource, request.validate_only) {
            Ok(()) => told,
            Err((code, why)) => told
                .with_error_code(context.code(code))
                .with_error_message(Some(text(why))),
        }
    });
    let answer = AlterConfigsResponse::default()
        .with_throttle_time_ms(context.throttle_ms())
        .with_responses(responses.collect());
    context.answer::<AlterConfigsRequest>(&answer)
}

/// Replaces the settings of one resource. `dry` only checks them.
fn replace_one(
    context: &Context,
    resource: &alter_configs_request::AlterConfigsResource,
    dry: bool,
) -> Result<(), Refused> {
    fault(context, resource.resource_type, &resource.resource_name)?;
    let target = Resource::of(context, resource.resource_type, &resource.resource_name)?;
    let changes = resource.configs.iter().map(|entry| {
        let value = entry.value.as_deref();
        let value = value.ok_or_else(|| null_value(&entry.name))?;
        Ok((entry.name.as_str(), Some(value)))
    });
    let changes: Vec<_> = changes.collect::<Result<_, Refused>>()?;
    match target {
        Resource::Topic(topic) => change_topic(&topic, TopicConfig::default(), &changes, dry),
        Resource::Broker(node) => {
            let configs = &context.cluster.broker_configs;
            configs.replace(node, &changes, dry)
        }
    }
}

const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// The sources of topic settings on the wire. A setting was given for the topic, or it is Kafka's
/// default.
const GIVEN: i8 = 1;
const DEFAULT: i8 = 5;
