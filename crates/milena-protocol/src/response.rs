//! Responses as frames, which are correlation id, tags and body. A client decodes them, and a
//! broker encodes them.

use bytes::Bytes;
use milena_core::Result;
#[cfg(any(feature = "client", feature = "broker"))]
use milena_core::{Error, ErrorKind};

use crate::api::ApiKey;
#[cfg(any(feature = "client", feature = "broker"))]
use crate::api::Request;
use crate::reader::Reader;
#[cfg(any(feature = "client", feature = "broker"))]
use crate::request::unknown_version;

/// Returns the correlation id of an answer, the first four bytes of its frame (without the length).
///
/// # Errors
/// [`ErrorKind::Decode`] if the frame is shorter.
pub fn correlation_id(frame: &[u8]) -> Result<i32> {
    Reader::new(frame).i32()
}

/// Returns the body of an answer, its frame (without the length) behind the header.
///
/// # Errors
/// [`ErrorKind::Decode`] if the header does not fit into the frame.
pub fn body(api: ApiKey, version: i16, frame: &Bytes) -> Result<Bytes> {
    Ok(frame.slice(header_len(api, version, frame)?..))
}

/// Returns the size of an answer's header, in bytes, at the front of `frame` (without the length).
///
/// # Errors
/// Those of [`body`].
pub fn header_len(api: ApiKey, version: i16, frame: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(frame);
    reader.i32()?;
    if api.has_flexible_answer_header(version) {
        reader.skip_tagged()?;
    }
    Ok(reader.position())
}

/// Decodes the body of the answer to a request of type `R` at `version`, after the guard has
/// checked its counts.
///
/// # Errors
/// - [`ErrorKind::Unsupported`] if `version` is not one of the API's
/// - [`ErrorKind::Decode`] if the bytes are not such an answer
#[cfg(feature = "client")]
pub fn decode<R: Request>(mut body: Bytes, version: i16) -> Result<R::Response> {
    use kafka_protocol::protocol::Decodable;
    if !R::KEY.known().contains(version) {
        return Err(unknown_version(R::KEY, version));
    }
    crate::guard::check_response(R::KEY, version, &body)?;
    R::Response::decode(&mut body, version).map_err(|cause| {
        Error::new(
            ErrorKind::Decode,
            format!("the answer does not decode in version {version}: {cause}"),
        )
        .api(R::NAME)
    })
}

/// Encodes the answer to a request of type `R` as a whole frame, with its length in front.
///
/// An ApiVersions request above the known versions is answered in the layout of version 0. Pass 0
/// as the version then (KIP-511).
///
/// # Errors
/// - [`ErrorKind::Unsupported`] if `version` is not one of the API's
/// - [`ErrorKind::Config`] if the answer sets a field that `version` does not have
#[cfg(feature = "broker")]
pub fn encode<R: Request>(
    response: &R::Response,
    version: i16,
    correlation_id: i32,
) -> Result<Bytes> {
    use kafka_protocol::protocol::Encodable;
    if !R::KEY.known().contains(version) {
        return Err(unknown_version(R::KEY, version));
    }
    let refused = |cause: String| {
        Error::new(
            ErrorKind::Config,
            format!("the answer cannot be written in version {version}: {cause}"),
        )
        .api(R::NAME)
    };
    let size = response
        .compute_size(version)
        .map_err(|cause| refused(cause.to_string()))?;
    let mut out = Vec::with_capacity(size + 9);
    crate::writer::put_i32(&mut out, 0);
    crate::writer::put_i32(&mut out, correlation_id);
    crate::writer::put_no_tags(&mut out, R::KEY.has_flexible_answer_header(version));
    response
        .encode(&mut out, version)
        .map_err(|cause| refused(cause.to_string()))?;
    crate::request::finish(out)
}
