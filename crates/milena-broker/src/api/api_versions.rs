//! ApiVersions, which lists the served APIs and their versions.

use bytes::Bytes;
use milena_core::{ErrorCode, Result};
use milena_protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use milena_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use milena_protocol::{ApiKey, response};

use super::served;
use crate::context::{Answer, Context, text};

/// Serves an ApiVersions request.
pub(super) fn handle(context: &Context, request: &ApiVersionsRequest) -> Answer {
    let mut answer = ApiVersionsResponse::default().with_throttle_time_ms(if context.version > 0 {
        context.throttle_ms()
    } else {
        0
    });
    let software = request.client_software_name.as_str();
    let named = context.version < 3
        || (is_software(software) && is_software(request.client_software_version.as_str()));
    answer.error_code = match context.fault() {
        Err(code) => context.code(code),
        Ok(()) if !named => context.code(ErrorCode::INVALID_REQUEST),
        Ok(()) => {
            answer.api_keys = keys();
            if context.version >= 3 {
                let level = context.cluster.settings.group_version;
                answer.supported_features = vec![
                    SupportedFeatureKey::default()
                        .with_name(text("group.version"))
                        .with_max_version(1),
                ];
                answer.finalized_features_epoch = 0;
                answer.finalized_features = vec![
                    FinalizedFeatureKey::default()
                        .with_name(text("group.version"))
                        .with_min_version_level(level)
                        .with_max_version_level(level),
                ];
            }
            0
        }
    };
    context.answer::<ApiVersionsRequest>(&answer)
}

/// Makes the answer to a version that is not served. It has the layout of version 0 and the list of
/// APIs (KIP-511).
pub(crate) fn unsupported(correlation_id: i32) -> Result<Bytes> {
    let answer = ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UNSUPPORTED_VERSION.to_wire())
        .with_api_keys(keys());
    response::encode::<ApiVersionsRequest>(&answer, 0, correlation_id)
}

/// Returns the served APIs with their versions.
fn keys() -> Vec<ApiVersion> {
    ApiKey::ALL
        .iter()
        .filter_map(|api| {
            let range = served(*api)?;
            // Brokers of 4.x list Produce from version 0 and serve it from version 3, because old
            // librdkafka looks for version 0 in the list.
            let min = if *api == ApiKey::Produce {
                0
            } else {
                range.min
            };
            Some(
                ApiVersion::default()
                    .with_api_key(api.to_wire())
                    .with_min_version(min)
                    .with_max_version(range.max),
            )
        })
        .collect()
}

/// Returns true for letters, digits, dashes and dots with a letter or digit at both ends (KIP-511).
fn is_software(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    name.bytes()
        .all(|byte| plain(byte) || byte == b'-' || byte == b'.')
        && name.bytes().next().is_some_and(plain)
        && name.bytes().last().is_some_and(plain)
}
