//! User types to bytes and back: codecs, the extractors over them, and values for records to be sent.
//!
//! ```
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
//! // On the way out, the value of a record:
//! let record = ProducerRecord::new("orders").key("customer-7").json(&Order { id: 7, quantity: 2 })?;
//! assert_eq!(record.record.value.as_deref(), Some(&br#"{"id":7,"quantity":2}"#[..]));
//!
//! // On the way in, an argument of a handler:
//! async fn bill(Json(order): Json<Order>) {
//!     println!("billing order {}", order.id);
//! }
//! # fn check<A>(_: impl milena_core::Handler<A>) {}
//! # check(bill);
//! # Ok::<_, milena_core::Error>(())
//! ```

mod codec;
mod json;
mod plain;

pub use codec::{Deserializer, Place, Serializer};
pub use json::{Json, JsonCodec, JsonExt};
pub use plain::{BytesCodec, TextCodec};
