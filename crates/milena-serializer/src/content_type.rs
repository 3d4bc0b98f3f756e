//! The content type of a value in a header, and a deserializer that selects its codec by it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Headers, Result, TopicName};

use crate::codec::{Deserializer, Part, Place, Serializer};

/// The header that names the format of a record's value.
pub const CONTENT_TYPE: &str = "content-type";

/// A codec whose format has a media type (RFC 6838).
pub trait MediaType: Sized {
    /// The media type, such as `application/json`.
    const MEDIA_TYPE: &'static str;

    /// Writes the media type into the header [`CONTENT_TYPE`] of each record. Only for codecs of
    /// values, because a record has one such header.
    fn with_content_type(self) -> WithContentType<Self> {
        WithContentType::new(self, Self::MEDIA_TYPE)
    }
}

impl MediaType for crate::BytesCodec {
    const MEDIA_TYPE: &'static str = "application/octet-stream";
}

impl MediaType for crate::TextCodec {
    const MEDIA_TYPE: &'static str = "text/plain; charset=utf-8";
}

#[cfg(feature = "json")]
impl MediaType for crate::JsonCodec {
    const MEDIA_TYPE: &'static str = "application/json";
}

#[cfg(feature = "xml")]
impl MediaType for crate::XmlCodec {
    const MEDIA_TYPE: &'static str = "application/xml";
}

/// A codec that writes the name of its format into the header [`CONTENT_TYPE`]. A tombstone gets no
/// header.
#[derive(Clone, Debug)]
pub struct WithContentType<C> {
    /// The codec of the value.
    codec: C,
    /// The value of the header.
    name: Bytes,
}

impl<C> WithContentType<C> {
    /// Wraps a codec. `name` is the name of its format, for a codec without [`MediaType`] or to
    /// replace that.
    pub fn new(codec: C, name: impl Into<Bytes>) -> Self {
        Self {
            codec,
            name: name.into(),
        }
    }
}

impl<T: ?Sized, C: Serializer<T>> Serializer<T> for WithContentType<C> {
    fn serialize(
        &self,
        topic: &TopicName,
        headers: &mut Headers,
        value: &T,
    ) -> Result<Option<Bytes>> {
        let bytes = self.codec.serialize(topic, headers, value)?;
        if bytes.is_some() {
            headers.set(CONTENT_TYPE, self.name.clone());
        }
        Ok(bytes)
    }
}

impl<T, C: Deserializer<T>> Deserializer<T> for WithContentType<C> {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<T> {
        self.codec.deserialize(place, bytes)
    }
}

/// Deserializes a value with the codec that the header [`CONTENT_TYPE`] names.
///
/// Case and parameters of the name (`; charset=…`) are ignored. `application/vnd.order+json` is
/// read as `application/json` if it has no codec of its own (RFC 6839). A tombstone is read with
/// the fallback, or without one with the first codec.
///
/// ```
/// use bytes::Bytes;
/// use milena_core::Headers;
/// use milena_serializer::{ByContentType, Deserializer, JsonCodec, MediaType, Place, XmlCodec};
///
/// let codec = ByContentType::<Vec<u8>>::new().form(JsonCodec).form(XmlCodec).otherwise(JsonCodec);
/// let headers = Headers::from_iter([("content-type", "application/json")]);
/// let read = codec.deserialize(Place::value(&"orders".into(), &headers), Some(&"[1,2]".into()))?;
/// assert_eq!(read, [1, 2]);
/// # Ok::<_, milena_core::Error>(())
/// ```
pub struct ByContentType<T> {
    /// The codecs with the names of their formats, without parameters and in lower case. Each name
    /// occurs once.
    forms: Vec<(String, Form<T>)>,
    /// The fallback for records without the header. `None` makes them an error.
    otherwise: Option<Form<T>>,
}

type Form<T> = Arc<dyn Deserializer<T> + Send + Sync>;

impl<T> ByContentType<T> {
    /// Creates a deserializer without codecs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            forms: Vec::new(),
            otherwise: None,
        }
    }

    /// Adds a codec for its own media type.
    #[must_use]
    pub fn form<C>(self, codec: C) -> Self
    where
        C: Deserializer<T> + MediaType + Send + Sync + 'static,
    {
        self.named(C::MEDIA_TYPE, codec)
    }

    /// Adds a codec for the format `name`. Replaces an earlier codec for that name.
    #[must_use]
    pub fn named(
        mut self,
        name: impl AsRef<str>,
        codec: impl Deserializer<T> + Send + Sync + 'static,
    ) -> Self {
        let name = essence(name.as_ref());
        self.forms.retain(|(known, _)| *known != name);
        self.forms.push((name, Arc::new(codec)));
        self
    }

    /// Sets the fallback codec, for records without the header. By default they are an error.
    #[must_use]
    pub fn otherwise(mut self, codec: impl Deserializer<T> + Send + Sync + 'static) -> Self {
        self.otherwise = Some(Arc::new(codec));
        self
    }

    /// Returns the codec for a name, or for its suffix such as `+json`.
    fn find(&self, name: &str) -> Option<&Form<T>> {
        let of = |wanted: &str| self.forms.iter().find(|(known, _)| known == wanted);
        let suffix = || {
            let (_, suffix) = name.rsplit_once('+')?;
            of(&format!("application/{suffix}"))
        };
        of(name).or_else(suffix).map(|(_, form)| form)
    }

    /// Creates the error for a value without a matching codec.
    fn unknown(&self, part: Part, name: Option<&str>) -> Error {
        let known: Vec<_> = self.forms.iter().map(|(name, _)| name.as_str()).collect();
        let known = known.join(", ");
        let what = match name {
            Some(name) => format!(
                "no codec reads the {part} of content type `{}`; there are codecs for {known}",
                short(name)
            ),
            None => format!(
                "the record has no header `{CONTENT_TYPE}`, which selects the codec of its {part}; there are codecs for {known}"
            ),
        };
        Error::new(ErrorKind::Decode, what)
    }
}

impl<T> Deserializer<T> for ByContentType<T> {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<T> {
        let name = place.headers.text(CONTENT_TYPE).map(essence);
        let form = match (&name, bytes) {
            (Some(name), Some(_)) => self.find(name),
            (None, Some(_)) => self.otherwise.as_ref(),
            (_, None) => {
                let first = self.forms.first().map(|(_, form)| form);
                self.otherwise.as_ref().or(first)
            }
        };
        let form = form.ok_or_else(|| self.unknown(place.part, name.as_deref()))?;
        form.deserialize(place, bytes)
    }
}

impl<T> Default for ByContentType<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for ByContentType<T> {
    fn clone(&self) -> Self {
        Self {
            forms: self.forms.clone(),
            otherwise: self.otherwise.clone(),
        }
    }
}

impl<T> fmt::Debug for ByContentType<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.forms.iter().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

/// Shortens a name for an error text. A sender may have written anything into the header.
fn short(name: &str) -> String {
    let mut short: String = name.chars().take(LONGEST).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

/// The most characters of an unknown content type in an error text.
const LONGEST: usize = 100;

/// Returns a content type without parameters, in lower case.
fn essence(name: &str) -> String {
    let name = name.split(';').next().unwrap_or(name);
    name.trim().to_ascii_lowercase()
}
