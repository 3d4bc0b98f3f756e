//! XML, with `quick-xml`.

use std::fmt;
use std::future::{Future, ready};
use std::num::NonZeroUsize;

use bytes::Bytes;
use milena_core::{
    Error, ErrorKind, FromRecord, Headers, Incoming, ProcessError, ProducerRecord, Result,
    TopicName,
};
use quick_xml::de::{Deserializer as Reader, EntityResolver, SliceReader};
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::BytesText;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Deserializer, Part, Place, Serializer, decode};
use crate::format::{null, undecodable, unwritable};

/// A record's value as XML, decoded into `T`. An argument of a handler. [`XmlCodec`] describes how
/// elements become fields.
///
/// A value that cannot be decoded is [poison](milena_core::ErrorClass::Poison) and is not retried.
/// The error names topic, partition and offset, and the path of the wrong field. A tombstone is
/// `None` in `Xml<Option<T>>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xml<T>(pub T);

/// XML 1.0 in UTF-8 as a codec, for types that serde supports.
///
/// - The root element is written with the name of the type. `#[serde(rename = "order")]` changes
///   that. Any root element is read.
/// - A field is a child element with its name. A `Vec` is a repeated element. Other elements may
///   stand between its elements, of which up to 16,384 tags and texts are read ahead.
/// - `#[serde(rename = "@id")]` makes a field an attribute, `"$text"` the text of the element, and
///   `"$value"` an enum of child elements.
/// - Names are read without their namespace prefix. `<b:order xmlns:b="…">` is read as `order`. The
///   namespace of a prefix is not checked. Namespace declarations are attributes, `@xmlns` and
///   `@xmlns:b`. To write them, add such fields and use `b:order` as the name.
/// - A missing key or a tombstone is `None` in `Option<T>`, and `None` is sent as a tombstone. An
///   empty value is not a document.
/// - A declared encoding other than UTF-8 is refused with an error that names it.
///
/// A document type declaration is refused. Only XML's five predefined entities and numeric
/// characters are read, so nothing is expanded and nothing is loaded. Elements may be nested 128
/// levels deep.
///
/// ```
/// use bytes::Bytes;
/// use milena_core::Headers;
/// use milena_serializer::{Deserializer, Place, Serializer, XmlCodec};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// #[serde(rename = "order")]
/// struct Order {
///     #[serde(rename = "@id")]
///     id: u64,
///     item: Vec<Item>,
/// }
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize)]
/// struct Item {
///     #[serde(rename = "@quantity")]
///     quantity: u32,
///     #[serde(rename = "$text")]
///     name: String,
/// }
///
/// let order = Order { id: 7, item: vec![Item { quantity: 2, name: "ink & pen".into() }] };
/// let (topic, mut headers) = ("orders".into(), Headers::new());
/// let bytes = XmlCodec.serialize(&topic, &mut headers, &order)?;
/// let text = r#"<order id="7"><item quantity="2">ink &amp; pen</item></order>"#;
/// assert_eq!(bytes.as_deref(), Some(text.as_bytes()));
///
/// let with_namespace = Bytes::from_static(br#"<?xml version="1.0"?>
///     <shop:order xmlns:shop="urn:shop"
///         id="7"><shop:item quantity="2">ink &amp; pen</shop:item></shop:order>"#);
/// let read: Order = XmlCodec.deserialize(Place::value(&topic, &headers), Some(&with_namespace))?;
/// assert_eq!(read, order);
/// # Ok::<_, milena_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XmlCodec;

impl<T: Serialize + ?Sized> Serializer<T> for XmlCodec {
    fn serialize(&self, topic: &TopicName, _: &mut Headers, value: &T) -> Result<Option<Bytes>> {
        let text = quick_xml::se::to_string(value)
            .map_err(|cause| unwritable::<T>("XML", cause).topic(topic))?;
        // `None` is written without any element.
        Ok((!text.is_empty()).then(|| text.into()))
    }
}

impl<T: DeserializeOwned> Deserializer<T> for XmlCodec {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<T> {
        let Some(bytes) = bytes else {
            return null(place.part, "XML");
        };
        let text = text(place.part, bytes)?;
        let mut reader = reader(text);
        match T::deserialize(&mut reader) {
            Ok(value) if reader.is_empty() => Ok(value),
            // Read again to find the path of the error.
            _ => Err(undecodable::<T, _>(
                place.part,
                "XML",
                &mut self::reader(text),
            )),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Sync> FromRecord<S> for Xml<T> {
    fn from_record(
        incoming: &Incoming,
        _: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
        ready(
            decode(&XmlCodec, &incoming.record, Part::Value)
                .map(Xml)
                .map_err(ProcessError::poison),
        )
    }
}

/// Adds XML values to records to send.
pub trait XmlExt: Sized {
    /// Sets the value to `value` as XML. `None` becomes a tombstone.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a value that XML cannot represent, such as a bare tuple or a map
    /// with keys that are not valid names.
    fn xml<T: Serialize + ?Sized>(self, value: &T) -> Result<Self>;
}

impl XmlExt for ProducerRecord {
    fn xml<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        self.record.value = XmlCodec.serialize(&self.topic, &mut self.record.headers, value)?;
        Ok(self)
    }
}

/// Returns the document as text. Fails if it is empty or not in the encoding that it declares.
fn text(part: Part, bytes: &[u8]) -> Result<&str> {
    let error = |what: String| Error::new(ErrorKind::Decode, what);
    if let Some(declared) = declared(bytes)
        && !["utf-8", "utf8", "us-ascii", "ascii"].contains(&declared.to_ascii_lowercase().as_str())
    {
        let what = format!(
            "the {part} is XML that declares the encoding `{declared}`; it is read as UTF-8 only"
        );
        return Err(error(what));
    }
    let text = std::str::from_utf8(bytes).map_err(|cause| {
        let mark = match bytes {
            [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => ": it begins with the byte order mark of UTF-16",
            _ => "",
        };
        error(format!(
            "the {part} is not UTF-8 text, and XML is read as UTF-8 only{mark}"
        ))
        .with_source(cause)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(error(format!("the {part} is empty, but XML is expected")));
    }
    Ok(text)
}

/// Returns the encoding in the XML declaration, also of a document in UTF-16, whose characters have
/// two bytes. `None` if the document declares none.
fn declared(bytes: &[u8]) -> Option<String> {
    let start = bytes.iter().filter(|byte| **byte != 0).take(200);
    let start: String = start.map(|byte| char::from(*byte)).collect();
    let from = start.find("<?xml")?;
    let declaration = start.get(from..)?.split("?>").next()?;
    let named = declaration.split_once("encoding")?.1.trim_start();
    let named = named.strip_prefix('=')?.trim_start();
    let quote = named.chars().next().filter(|c| ['"', '\''].contains(c))?;
    let name = named.get(1..)?.split(quote).next()?;
    Some(name.to_owned())
}

/// Creates a reader with the limits of this codec.
fn reader(text: &str) -> Reader<'_, SliceReader<'_>, NoDoctype> {
    let mut reader = Reader::from_str_with_resolver(text, NoDoctype);
    reader.recursion_limit(MAX_DEPTH);
    reader.event_buffer_size(NonZeroUsize::new(MOST_AHEAD));
    reader
}

/// Refuses document type declarations, so that no entity can be declared.
struct NoDoctype;

/// The error of [`NoDoctype`].
#[derive(Debug)]
struct Doctype;

impl EntityResolver for NoDoctype {
    type Error = Doctype;

    fn capture(&mut self, _: BytesText<'_>) -> Result<(), Doctype> {
        Err(Doctype)
    }

    fn resolve(&self, entity: &str) -> Option<&str> {
        resolve_predefined_entity(entity)
    }
}

impl fmt::Display for Doctype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "document type declarations are refused, since entities could be declared there",
        )
    }
}

impl std::error::Error for Doctype {}

/// The most levels of nested elements.
const MAX_DEPTH: usize = 128;
/// The most tags and texts that are read ahead for a list whose elements are not adjacent. They are
/// held in memory meanwhile.
const MOST_AHEAD: usize = 1 << 14;
