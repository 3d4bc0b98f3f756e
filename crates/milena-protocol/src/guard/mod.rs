//! The guard before decode. It walks over a message's bytes along its shape, and allocates nothing.
//!
//! `kafka-protocol` reserves memory by the counts that it reads, so 24 bytes of a foreign or
//! hostile peer could make it reserve 200 GB. The guard compares every count with the remaining
//! bytes, and walks over every element to its end, before that decoder sees the message.

mod field;
mod shapes;
#[cfg(test)]
#[cfg(all(feature = "client", feature = "broker"))]
mod tests;

use std::cell::Cell;

use milena_core::{Error, ErrorKind, Result};

use self::field::{Field, Kind, Shape};
use crate::api::ApiKey;
use crate::reader::Reader;

/// Checks the body of a request. Bytes behind its end are ignored, as decoders ignore them.
///
/// # Errors
/// [`ErrorKind::Decode`] with the API if a count or a length goes past the bytes.
pub fn check_request(api: ApiKey, version: i16, body: &[u8]) -> Result<()> {
    check(shapes::request(api), api, version, body)
}

/// Checks the body of a response. Bytes behind its end are ignored, as decoders ignore them.
///
/// # Errors
/// [`ErrorKind::Decode`] with the API if a count or a length goes past the bytes.
pub fn check_response(api: ApiKey, version: i16, body: &[u8]) -> Result<()> {
    check(shapes::response(api), api, version, body)
}

/// Returns the length of the longest string in the body of a request, in bytes. `None` if the body
/// is not such a request.
#[cfg(feature = "client")]
pub(crate) fn longest_text(api: ApiKey, version: i16, body: &[u8]) -> Option<usize> {
    let longest = Cell::new(0);
    let walk = Walk {
        version,
        flexible: api.is_flexible(version),
        longest: &longest,
    };
    let walked = walk.fields(shapes::request(api), &mut Reader::new(body));
    walked.is_ok().then(|| longest.get())
}

/// Walks over a body along its shape.
fn check(shape: Shape, api: ApiKey, version: i16, body: &[u8]) -> Result<()> {
    let walk = Walk {
        version,
        flexible: api.is_flexible(version),
        longest: &Cell::new(0),
    };
    walk.fields(shape, &mut Reader::new(body))
        .map_err(|error| error.api(api.name()))
}

/// A walk over a message.
#[derive(Clone, Copy)]
struct Walk<'a> {
    /// The version of the message.
    version: i16,
    /// True if the version has compact types and tagged fields.
    flexible: bool,
    /// The length of the longest string so far, in bytes.
    longest: &'a Cell<usize>,
}

impl Walk<'_> {
    /// Walks over the fields of a struct.
    fn fields(self, shape: Shape, reader: &mut Reader<'_>) -> Result<()> {
        for field in shape {
            if field.tag.is_none() && field.is_in(self.version) {
                self.value(field.kind, reader)?;
            }
        }
        if self.flexible {
            reader.tagged(|tag, content| self.tag(shape, tag, content))?;
        }
        Ok(())
    }

    /// Walks over a tagged field. One that the shape knows must hold what the shape says and
    /// nothing else. Others are skipped.
    fn tag(self, shape: Shape, tag: u32, content: &mut Reader<'_>) -> Result<()> {
        let known = |field: &&Field| field.tag == Some(tag) && field.is_in(self.version);
        let Some(field) = shape.iter().find(known) else {
            return Ok(());
        };
        self.value(field.kind, content)?;
        if content.remaining() > 0 {
            return Err(content.bad("a tagged field is longer than its content"));
        }
        Ok(())
    }

    /// Walks over one value.
    fn value(self, kind: Kind, reader: &mut Reader<'_>) -> Result<()> {
        match kind {
            Kind::Fixed(size) => reader.skip(size),
            Kind::Text => {
                let len = reader.string_len(self.flexible)?.unwrap_or(0);
                self.longest.set(self.longest.get().max(len));
                reader.skip(len)
            }
            Kind::Blob => {
                let len = reader.bytes_len(self.flexible)?.unwrap_or(0);
                reader.skip(len)
            }
            Kind::FixedList(size) => {
                let count = reader.array_len(self.flexible, size)?.unwrap_or(0);
                reader.skip(count.saturating_mul(size))
            }
            Kind::Texts => self.list(reader, |walk, reader| walk.value(Kind::Text, reader)),
            Kind::List(shape) => self.list(reader, |walk, reader| walk.fields(shape, reader)),
            Kind::Nested(shape) => self.fields(shape, reader),
            Kind::Maybe(shape) => match reader.u8()?.cast_signed() {
                present if present < 0 => Ok(()),
                _ => self.fields(shape, reader),
            },
        }
    }

    /// Walks over the elements of an array.
    fn list(
        self,
        reader: &mut Reader<'_>,
        element: impl Fn(Self, &mut Reader<'_>) -> Result<()>,
    ) -> Result<()> {
        let count = reader.array_len(self.flexible, 1)?.unwrap_or(0);
        for _ in 0..count {
            let start = reader.position();
            element(self, reader)?;
            if reader.position() == start {
                // An element without bytes would let any count pass.
                return Err(Error::new(
                    ErrorKind::Decode,
                    "an array has elements without bytes",
                ));
            }
        }
        Ok(())
    }
}
