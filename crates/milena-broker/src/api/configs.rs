//! DescribeConfigs and IncrementalAlterConfigs of topics; brokers have none to show.

use milena_core::ErrorCode;
use milena_protocol::messages::describe_configs_request::DescribeConfigsResource;
use milena_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use milena_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use milena_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use milena_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use crate::cluster::Refused;
use crate::context::{Answer, Context, text};

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

fn entries(
    context: &Context,
    resource: &DescribeConfigsResource,
    synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    context.fault().map_err(|code| (code, String::new()))?;
    match resource.resource_type {
        TOPIC => {}
        BROKER => return Ok(Vec::new()),
        other => {
            return Err((
                ErrorCode::INVALID_REQUEST,
                format!("Unsupported resource type: {other}"),
            ));
        }
    }
    let name = resource.resource_name.as_str();
    let topic = context
        .cluster
        .topic(name)
        .ok_or((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, String::new()))?;
    let wanted = |key: &str| match &resource.configuration_keys {
        Some(keys) => keys.iter().any(|wanted| wanted.as_str() == key),
        None => true,
    };
    let config = topic.config.read();
    let found =
        config
            .entries()
            .filter(|(key, ..)| wanted(key))
            .map(|(key, value, given, kind)| {
                let source = if given { GIVEN } else { DEFAULT };
                let mut told = DescribeConfigsResourceResult::default()
                    .with_name(text(key))
                    .with_value(Some(text(value)))
                    .with_config_source(source);
                if synonyms {
                    told.synonyms.push(
                        DescribeConfigsSynonym::default()
                            .with_name(text(key))
                            .with_value(Some(text(value)))
                            .with_source(source),
                    );
                }
                if context.version >= 3 {
                    told.with_config_type(kind)
                } else {
                    told
                }
            });
    Ok(found.collect())
}

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

fn alter_one(context: &Context, resource: &AlterConfigsResource, dry: bool) -> Result<(), Refused> {
    context.fault().map_err(|code| (code, String::new()))?;
    if resource.resource_type != TOPIC {
        return Err((
            ErrorCode::INVALID_REQUEST,
            "only topics have settings here".to_owned(),
        ));
    }
    let topic = context
        .cluster
        .topic(resource.resource_name.as_str())
        .ok_or((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, String::new()))?;
    let mut changed = topic.config.read().clone();
    for entry in &resource.configs {
        let (key, value) = (entry.name.as_str(), entry.value.as_deref());
        match (entry.config_operation, value) {
            (SET, Some(value)) => changed
                .set(key, value)
                .map_err(|why| (ErrorCode::INVALID_CONFIG, why))?,
            (DELETE, _) => changed.unset(key),
            (SET, None) => {
                return Err((
                    ErrorCode::INVALID_REQUEST,
                    format!("Null value not supported for {key}"),
                ));
            }
            _ => {
                return Err((
                    ErrorCode::INVALID_CONFIG,
                    format!("{key} is not a list here"),
                ));
            }
        }
    }
    if !dry {
        *topic.config.write() = changed;
    }
    Ok(())
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
/// Config sources on the wire: given for the topic, or Kafka's default.
const GIVEN: i8 = 1;
const DEFAULT: i8 = 5;
