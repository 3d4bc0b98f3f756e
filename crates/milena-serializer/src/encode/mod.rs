//! Encoding as a layer. It wraps a producer, or any service of records, into a service of typed
//! records.
//!
//! ```
//! use milena_core::{Error, ProducerRecord};
//! use milena_serializer::{BigEndianCodec, EncodeLayer, JsonCodec, TypedRecord};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), milena_core::BoxError> {
//! let service = ServiceBuilder::new()
//!     .layer(EncodeLayer::<i64, [u32; 2]>::new(BigEndianCodec, JsonCodec))
//!     .service(service_fn(async |record: ProducerRecord| {
//!         Ok::<_, Error>(record.record.value) // a `Producer`, say
//!     }));
//! let sent = service.oneshot(TypedRecord::new("payments").key(7).value([1, 2])).await?;
//! assert_eq!(sent.as_deref(), Some(&b"[1,2]"[..]));
//! # Ok(())
//! # }
//! ```

mod layer;
mod service;

pub use layer::EncodeLayer;
pub use service::Encode;
