//! XML, by `quick-xml`.

use std::fmt;
use std::future::{Future, ready};

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

/// A record's value as XML, decoded into `T`: an argument of a handler. [`XmlCodec`] says how elements become fields.
///
/// What cannot be decoded is [poison](milena_core::ErrorClass::Poison): no attempt is repeated. The error names topic, partition,
/// offset, and the path of the field that is wrong. A tombstone is `None` in `Xml<Option<T>>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xml<T>(pub T);

/// XML 1.0 in UTF-8 as a codec, for types that serde knows.
///
/// - The root element is named as the type (`#[serde(rename = "order")]` changes that); any root is read.
/// - A field is a child element of its name; a `Vec` is the element repeated, its elements next to each other.
/// - `#[serde(rename = "@id")]` makes a field an attribute, `"$text"` the text of the element, `"$value"` an enum of child elements.
/// - Names are read without their namespace prefix: `<b:order xmlns:b="…">` is `order`, and what a prefix is bound to is not checked.
///   Bindings are attributes, `@xmlns` and `@xmlns:b`; give such fields to write them, and `b:order` as the name.
/// - A missing key or a tombstone is `None` in `Option<T>`, and `None` is sent as one.
///
/// A document type declaration is refused, and with it every entity but the five of XML and characters by number: nothing expands, nothing is
/// loaded. Elements may be nested 128 levels deep.
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
/// assert_eq!(bytes.as_deref(), Some(&br#"<order id="7"><item quantity="2">ink &amp; pen</item></order>"#[..]));
///
/// let with_namespace = Bytes::from_static(br#"<?xml version="1.0"?>
///     <shop:order xmlns:shop="urn:shop" id="7"><shop:item quantity="2">ink &amp; pen</shop:item></shop:order>"#);
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
        // No element at all is what `None` leaves.
        Ok((!text.is_empty()).then(|| text.into()))
    }
}

impl<T: DeserializeOwned> Deserializer<T> for XmlCodec {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<T> {
        let Some(bytes) = bytes else {
            return null(place.part, "XML");
        };
        let text = std::str::from_utf8(bytes).map_err(|cause| {
            let what = format!("the {} is not UTF-8 text, as XML is read", place.part);
            Error::new(ErrorKind::Decode, what).with_source(cause)
        })?;
        let mut reader = reader(text);
        match T::deserialize(&mut reader) {
            Ok(value) if reader.is_empty() => Ok(value),
            // Read again, with the path this time.
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

/// XML values for records to be sent.
pub trait XmlExt: Sized {
    /// Sets the value to `value` as XML; `None` is a tombstone.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a value that XML cannot hold, such as a bare tuple or a map with keys that are no names.
    fn xml<T: Serialize + ?Sized>(self, value: &T) -> Result<Self>;
}

impl XmlExt for ProducerRecord {
    fn xml<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        self.record.value = XmlCodec.serialize(&self.topic, &mut self.record.headers, value)?;
        Ok(self)
    }
}

fn reader(text: &str) -> Reader<'_, SliceReader<'_>, NoDoctype> {
    let mut reader = Reader::from_str_with_resolver(text, NoDoctype);
    reader.recursion_limit(MAX_DEPTH);
    reader
}

/// Refuses document type declarations, so that no entity can be declared.
struct NoDoctype;

/// What [`NoDoctype`] answers.
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

const MAX_DEPTH: usize = 128;
