//! Bearer tokens for OAUTHBEARER, and the providers that they come from.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> milena_core::Result<()> {
//! use std::time::Duration;
//! use milena_core::Timestamp;
//! use milena_security::sasl::Sasl;
//! use milena_security::token::{BearerToken, CallbackProvider, Refresher, TokenProvider};
//!
//! let provider = CallbackProvider::new(|| async {
//!     let expires = Timestamp::now().plus(Duration::from_secs(3_600));
//!     Ok(BearerToken::new("from-the-identity-server", expires))
//! });
//! let shared = Refresher::new(provider);
//! assert_eq!(shared.token().await?.value().text()?, "from-the-identity-server");
//! let sasl = Sasl::oauth_bearer(shared);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "http")]
mod assertion;
mod bearer;
mod claims;
#[cfg(feature = "http")]
mod oidc;
mod provider;
mod refresh_plan;
mod refresher;
mod unsecured;

#[cfg(feature = "http")]
pub use assertion::Assertion;
pub use bearer::BearerToken;
pub use claims::TokenClaims;
#[cfg(feature = "http")]
pub use oidc::{Grant, OidcProvider};
pub use provider::{CallbackProvider, FileProvider, StaticProvider, TokenProvider};
pub use refresh_plan::RefreshPlan;
pub use refresher::Refresher;
pub use unsecured::{read_unsecured, unsecured};
