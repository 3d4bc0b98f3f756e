//! Converts user types to bytes and back: codecs, extractors that use them, and record values.
//!
//! | Codec | Types | Bytes |
//! |---|---|---|
//! | [`BytesCodec`] | `Bytes`, `Vec<u8>` | unchanged |
//! | [`TextCodec`] | `String`, `str` | UTF-8 |
//! | [`BigEndianCodec`] | integers and floats | big-endian with fixed width, as Java's |
//! | [`BoolCodec`] | `bool` | one byte, as Java's |
//! | `UuidCodec` (feature `uuid`) | `Uuid` | 36 characters, as Java's |
//! | `JsonCodec` (feature `json`) | types that serde supports | JSON |
//! | `XmlCodec` (feature `xml`) | types that serde supports | XML |
//!
//! Each codec also supports `Option<T>`, for missing keys and for tombstones. A codec of your own
//! takes a few lines, as the example of [`Serializer`] shows. [`MediaType::with_content_type`]
//! writes the name of the format into a header, and [`ByContentType`] selects the codec by that
//! header.
//!
//! ```
//! # #[cfg(feature = "json")] {
//! use milena_core::ProducerRecord;
//! use milena_serializer::{Json, JsonExt};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     id: u64,
//!     quantity: u32,
//! }
//!
//! // To send an order, set it as the value of a record:
//! let order = Order { id: 7, quantity: 2 };
//! let record = ProducerRecord::new("orders").key("customer-7").json(&order)?;
//! assert_eq!(record.record.value.as_deref(), Some(&br#"{"id":7,"quantity":2}"#[..]));
//!
//! // To consume an order, take it as an argument of a handler:
//! async fn bill(Json(order): Json<Order>) {
//!     println!("billing order {}", order.id);
//! }
//! # fn check<A>(_: impl milena_core::Handler<A>) {}
//! # check(bill);
//! # }
//! # Ok::<_, milena_core::Error>(())
//! ```

mod codec;
mod content_type;
mod decode;
mod decoder;
mod encode;
mod encoder;
mod extract;
#[cfg(any(feature = "json", feature = "xml"))]
mod format;
#[cfg(feature = "json")]
mod json;
mod nullable;
mod number;
mod plain;
mod record;
#[cfg(feature = "uuid")]
mod uuid;
#[cfg(feature = "xml")]
mod xml;

pub use codec::{Deserializer, Part, Place, Serializer};
pub use content_type::{ByContentType, CONTENT_TYPE, MediaType, WithContentType};
pub use decode::{Decode, DecodeLayer};
pub use decoder::Decoder;
pub use encode::{Encode, EncodeLayer};
pub use encoder::Encoder;
pub use extract::{KeyAs, ValueAs};
#[cfg(feature = "json")]
pub use json::{Json, JsonCodec, JsonExt};
pub use nullable::Nullable;
pub use number::{BigEndianCodec, BoolCodec};
pub use plain::{BytesCodec, TextCodec};
pub use record::{Decoded, TypedRecord, Undecodable};
#[cfg(feature = "uuid")]
pub use uuid::UuidCodec;
#[cfg(feature = "xml")]
pub use xml::{Xml, XmlCodec, XmlExt};
