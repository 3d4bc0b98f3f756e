//! Requests as frames, which are length, header and body. A client encodes them, and a broker
//! splits and decodes them.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Result};

use crate::api::ApiKey;
#[cfg(any(feature = "client", feature = "broker"))]
use crate::api::Request;
use crate::reader::Reader;
use crate::writer::{put_i16, put_i32, put_no_tags, put_str};

/// Encodes `request` as a whole frame, with its length in front.
///
/// # Errors
/// - [`ErrorKind::Unsupported`] if `version` is not one of the API's
/// - [`ErrorKind::Config`] if the request sets a field that `version` does not have, or if a text
///   in it is over 32,767 bytes. The error names the field of the text.
#[cfg(feature = "client")]
pub fn encode<R: Request>(
    request: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Bytes> {
    if !R::KEY.known().contains(version) {
        return Err(unknown_version(R::KEY, version));
    }
    let refused = |cause: String| {
        // In versions with plain strings the encoder itself refuses a long one, without the name of
        // its field.
        if cause.contains("too long to encode") {
            return crate::long_text::refused(request, None).api(R::NAME);
        }
        Error::new(
            ErrorKind::Config,
            format!("the request cannot be written in version {version}: {cause}"),
        )
        .api(R::NAME)
    };
    let size = request
        .compute_size(version)
        .map_err(|e| refused(e.to_string()))?;
    let mut out = Vec::with_capacity(size + 32 + client_id.map_or(0, str::len));
    begin(&mut out, R::KEY, version, correlation_id, client_id)?;
    let header = out.len();
    request
        .encode(&mut out, version)
        .map_err(|e| refused(e.to_string()))?;
    // In versions with compact strings the encoder writes strings that no broker accepts.
    let body = out.get(header..).unwrap_or_default();
    if R::KEY.is_flexible(version)
        && body.len() > crate::long_text::LONGEST
        && let Some(len) = crate::guard::longest_text(R::KEY, version, body)
        && len > crate::long_text::LONGEST
    {
        return Err(crate::long_text::refused(request, Some(len)).api(R::NAME));
    }
    finish(out)
}

/// Encodes the front of a frame whose body of `body_len` bytes is sent behind it. The front is the
/// length and the header.
///
/// # Errors
/// - [`ErrorKind::RecordTooLarge`] if the frame would be over 2 GiB
/// - [`ErrorKind::Config`] if the client id is over 32,767 bytes
pub fn head(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    body_len: usize,
) -> Result<Bytes> {
    let mut out = Vec::with_capacity(32 + client_id.map_or(0, str::len));
    begin(&mut out, api, version, correlation_id, client_id)?;
    put_frame_len(&mut out, body_len)?;
    Ok(Bytes::from(out))
}

/// Starts a frame with room for the length, and the request header of `api` at `version`.
///
/// The header is version 2 in flexible versions, and 1 in others. The client id is a plain nullable
/// string in both. KIP-511 left it so, since brokers read it before they know the version.
pub(crate) fn begin(
    out: &mut Vec<u8>,
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<()> {
    put_i32(out, 0);
    put_i16(out, api.to_wire());
    put_i16(out, version);
    put_i32(out, correlation_id);
    put_str(out, client_id, false).map_err(|error| error.setting("client.id"))?;
    put_no_tags(out, api.is_flexible(version));
    Ok(())
}

/// Ends a frame that [`begin`] started, by writing its length.
pub(crate) fn finish(mut out: Vec<u8>) -> Result<Bytes> {
    put_frame_len(&mut out, 0)?;
    Ok(Bytes::from(out))
}

/// Writes the length of a frame that consists of `out` and `more` bytes that are sent behind it.
pub(crate) fn put_frame_len(out: &mut [u8], more: usize) -> Result<()> {
    let total = out.len().saturating_sub(4).saturating_add(more);
    let len = i32::try_from(total).map_err(|_| {
        Error::new(
            ErrorKind::RecordTooLarge,
            format!("a request of {total} bytes is over 2 GiB"),
        )
    })?;
    if let Some(prefix) = out.first_chunk_mut::<4>() {
        *prefix = len.to_be_bytes();
    }
    Ok(())
}

/// The header of a request, as a broker reads it before it looks at the body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestHeader {
    /// The API key on the wire. It may be one that milena does not know.
    pub api_key: i16,
    /// The version of the request. It may be one that milena does not know.
    pub version: i16,
    /// The number that the answer repeats.
    pub correlation_id: i32,
    /// The name that the client gave itself. `None` is null.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Splits a frame (without its length) into the header and the body.
    ///
    /// An unknown API or version does not fail here, so that a broker can answer it. The body then
    /// begins behind the client id.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] if the bytes are not a request header.
    pub fn split(frame: &Bytes) -> Result<(Self, Bytes)> {
        let mut reader = Reader::new(frame);
        let header = Self {
            api_key: reader.i16()?,
            version: reader.i16()?,
            correlation_id: reader.i32()?,
            client_id: reader.nullable_str(false)?.map(str::to_owned),
        };
        if let Some(api) = header.api().filter(|api| api.is_flexible(header.version)) {
            // An ApiVersions request of a version that does not exist yet may have another header.
            match reader.skip_tagged() {
                Err(error) if api.known().contains(header.version) => return Err(error),
                _ => {}
            }
        }
        Ok((header, frame.slice(reader.position()..)))
    }

    /// Returns the API, if milena knows it.
    pub fn api(&self) -> Option<ApiKey> {
        ApiKey::from_wire(self.api_key)
    }
}

/// Decodes the body of a request, after the guard has checked its counts.
///
/// # Errors
/// - [`ErrorKind::Unsupported`] if `version` is not one of the API's
/// - [`ErrorKind::Decode`] if the bytes are not such a request
#[cfg(feature = "broker")]
pub fn decode<R: Request>(mut body: Bytes, version: i16) -> Result<R> {
    if !R::KEY.known().contains(version) {
        return Err(unknown_version(R::KEY, version));
    }
    crate::guard::check_request(R::KEY, version, &body)?;
    R::decode(&mut body, version).map_err(|cause| {
        Error::new(
            ErrorKind::Decode,
            format!("the request does not decode in version {version}: {cause}"),
        )
        .api(R::NAME)
    })
}

/// Returns the error for a version that the API does not have.
pub(crate) fn unknown_version(api: ApiKey, version: i16) -> Error {
    let known = api.known();
    let what = format!("version {version} is not known, only {known} are");
    Error::new(ErrorKind::Unsupported, what).api(api.name())
}
