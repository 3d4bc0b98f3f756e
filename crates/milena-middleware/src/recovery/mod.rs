//! Recovery. Converts a panic inside to an error.
//!
//! Its class is [`Panic`](milena_core::ErrorClass::Panic), so a retry layer retries the record, and
//! a dead letter layer can write it. The layer has no effect in a program that is built to abort on
//! panics.
//!
//! ```
//! use milena_core::ErrorClass;
//! use milena_middleware::RecoveryLayer;
//! use tower::{Layer, Service, ServiceExt, service_fn};
//! # use milena_core::{BoxError, ProcessError};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let careless = service_fn(|number: u32| async move {
//!     assert_ne!(number, 7, "never seven");
//!     Ok::<_, BoxError>(number)
//! });
//! let mut service = RecoveryLayer::new().layer(careless);
//! assert_eq!(service.ready().await.unwrap().call(1).await.unwrap(), 1);
//! let error = service.ready().await.unwrap().call(7).await.unwrap_err();
//! assert_eq!(ProcessError::from_boxed(error).class(), ErrorClass::Panic);
//! # }
//! ```

mod layer;
mod service;

pub use layer::RecoveryLayer;
pub use service::{Recovery, RecoveryFuture};
