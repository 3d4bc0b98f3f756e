//! ApiVersions (key 18), written and read by hand. It is the first message on a connection, so
//! every length in it is bounded.

use bytes::Bytes;
use milena_core::{Error, ErrorCode, ErrorKind, Result};

use crate::api::ApiKey;
use crate::reader::Reader;
use crate::request;
use crate::versions::{BrokerVersions, FinalizedFeature, VersionRange};
use crate::writer::{put_no_tags, put_str};

/// A feature and the levels of it that the broker could run (KIP-584).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SupportedFeature {
    /// The feature's name.
    pub name: String,
    /// The lowest level supported.
    pub min_level: i16,
    /// The highest level supported.
    pub max_level: i16,
}

/// The answer to ApiVersions, key 18, versions 0 to 4.
///
/// # References
/// KIP-35, KIP-511 (client name and version), KIP-584 (features).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ApiVersions {
    /// The error, if the broker reported one.
    pub error: Option<ErrorCode>,
    /// Each API key that the broker serves, with its range, in wire order.
    pub apis: Vec<(i16, VersionRange)>,
    /// The time for which the broker asks this connection to be silent, in milliseconds (KIP-219).
    pub throttle_ms: u32,
    /// The features that the broker could finalise. Empty before version 3.
    pub supported_features: Vec<SupportedFeature>,
    /// The epoch of the finalised features. `None` if unknown.
    pub finalized_features_epoch: Option<i64>,
    /// The features that the cluster has finalised. Empty before version 3.
    pub finalized_features: Vec<FinalizedFeature>,
}

impl ApiVersions {
    /// Returns the version to ask with again, after the broker refused version `sent`. `None` if it
    /// did not.
    ///
    /// The version is always below `sent`, whatever the broker hints, so that a hostile answer
    /// cannot cause a loop.
    pub fn fallback(&self, sent: i16) -> Option<i16> {
        if self.error != Some(ErrorCode::UNSUPPORTED_VERSION) || sent <= 0 {
            return None;
        }
        let key = ApiKey::ApiVersions.to_wire();
        let hinted = self
            .apis
            .iter()
            .find(|(api, _)| *api == key)
            .and_then(|(_, theirs)| theirs.highest_common(ApiKey::ApiVersions.supported()))
            .unwrap_or(0);
        Some(hinted.min(sent - 1).max(0))
    }

    /// Returns the versions that the broker serves, ready for negotiation.
    pub fn into_broker_versions(self) -> BrokerVersions {
        BrokerVersions::new(self.apis, self.finalized_features)
    }
}

/// Encodes an ApiVersions request as a whole frame, with its length in front.
///
/// `software_name` and `software_version` name the client from version 3 on. Characters other than
/// letters, digits, `-` and `.` become `-`, since brokers refuse them (KIP-511).
///
/// # Errors
/// [`ErrorKind::Config`] if the client id is over 32,767 bytes long.
pub fn encode_request(
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    software_name: &str,
    software_version: &str,
) -> Result<Bytes> {
    let mut out = Vec::with_capacity(64);
    request::begin(
        &mut out,
        ApiKey::ApiVersions,
        version,
        correlation_id,
        client_id,
    )?;
    if ApiKey::ApiVersions.is_flexible(version) {
        put_str(&mut out, Some(&plain(software_name)), true)?;
        put_str(&mut out, Some(&plain(software_version)), true)?;
        put_no_tags(&mut out, true);
    }
    request::finish(out)
}

/// Decodes the body of an ApiVersions answer to a request of `version`.
///
/// A broker that does not know `version` answers in the layout of version 0 with
/// UNSUPPORTED_VERSION (KIP-511). See [`ApiVersions::fallback`].
///
/// # Errors
/// [`ErrorKind::Decode`] if the bytes are not such an answer.
pub fn decode_response(body: &[u8], version: i16) -> Result<ApiVersions> {
    let mut reader = Reader::new(body);
    let error = ErrorCode::from_wire(reader.i16()?);
    let version = if error == Some(ErrorCode::UNSUPPORTED_VERSION) {
        0
    } else {
        version
    };
    if !ApiKey::ApiVersions.supported().contains(version) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("ApiVersions version {version} is not known"),
        ));
    }
    let flexible = ApiKey::ApiVersions.is_flexible(version);
    let mut answer = ApiVersions {
        error,
        ..ApiVersions::default()
    };
    answer.apis = read_apis(&mut reader, flexible)?;
    if version >= 1 {
        answer.throttle_ms = u32::try_from(reader.i32()?).unwrap_or(0);
    }
    if flexible {
        reader.tagged(|tag, field| read_tag(&mut answer, tag, field))?;
    }
    Ok(answer)
}

/// Reads the API keys with their ranges.
fn read_apis(reader: &mut Reader<'_>, flexible: bool) -> Result<Vec<(i16, VersionRange)>> {
    let size = if flexible { 7 } else { 6 };
    let count = reader.array_len(flexible, size)?.unwrap_or(0);
    let mut apis = Vec::with_capacity(count);
    for _ in 0..count {
        let key = reader.i16()?;
        let (min, max) = (reader.i16()?, reader.i16()?);
        if flexible {
            reader.skip_tagged()?;
        }
        apis.push((key, VersionRange { min, max }));
    }
    Ok(apis)
}

/// Reads a tagged field of the answer. Unknown ones are skipped.
fn read_tag(answer: &mut ApiVersions, tag: u32, field: &mut Reader<'_>) -> Result<()> {
    match tag {
        0 => {
            answer.supported_features = read_features(field)?
                .into_iter()
                .map(|(name, min_level, max_level)| SupportedFeature {
                    name,
                    min_level,
                    max_level,
                })
                .collect();
        }
        1 => answer.finalized_features_epoch = Some(field.i64()?).filter(|epoch| *epoch >= 0),
        2 => {
            answer.finalized_features = read_features(field)?
                .into_iter()
                .map(|(name, max_level, min_level)| FinalizedFeature {
                    name,
                    min_level,
                    max_level,
                })
                .collect();
        }
        _ => {}
    }
    Ok(())
}

/// Reads names with two levels, in wire order. Supported features have the low level first, and
/// finalised ones the high level.
fn read_features(field: &mut Reader<'_>) -> Result<Vec<(String, i16, i16)>> {
    let count = field.array_len(true, 6)?.unwrap_or(0);
    let mut features = Vec::with_capacity(count);
    for _ in 0..count {
        let name = field.str(true)?.to_owned();
        features.push((name, field.i16()?, field.i16()?));
        field.skip_tagged()?;
    }
    Ok(features)
}

/// Replaces characters that brokers refuse in a client's name. They accept
/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
fn plain(text: &str) -> String {
    let kept: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let kept = kept.trim_matches(['-', '.']);
    if kept.is_empty() {
        "unknown".to_owned()
    } else {
        kept.to_owned()
    }
}
