//! Decoding as a layer. The handler gets the decoded key and value from the record's extensions.
//!
//! Place it innermost, directly around the handler, so that retries and timeouts are around it. A
//! record that cannot be decoded is poison, which no retry layer retries. The layer is ready when
//! the handler is.
//!
//! ```
//! use milena_core::{ConsumerRecord, Extension, Incoming, Outcome};
//! use milena_serializer::{BigEndianCodec, DecodeLayer, Decoded, JsonCodec};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), milena_core::BoxError> {
//! type Payment = Decoded<i64, Vec<u32>>;
//! let service = ServiceBuilder::new()
//!     .layer(DecodeLayer::<i64, Vec<u32>>::new(BigEndianCodec, JsonCodec))
//!     .service(service_fn(async |incoming: Incoming| {
//!         let payment = incoming.extensions.get::<Payment>().unwrap();
//!         assert_eq!((payment.key, &payment.value[..]), (7, &[1, 2][..]));
//!         Ok::<_, milena_core::BoxError>(Outcome::Ack)
//!     }));
//! // In a stack, the handler takes the payment as an argument:
//! // `Stack::new().tower_layer(layer).handler(async |Extension(payment): Extension<Payment>| …)`
//! let mut record = ConsumerRecord::new("payments", 0, 0);
//! record.key = Some(7i64.to_be_bytes().to_vec().into());
//! record.value = Some("[1, 2]".into());
//! assert_eq!(service.oneshot(Incoming::new(record)).await?, Outcome::Ack);
//! # Ok(())
//! # }
//! ```

mod layer;
mod service;

pub use layer::DecodeLayer;
pub use service::Decode;
