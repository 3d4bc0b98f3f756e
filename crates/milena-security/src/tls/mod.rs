//! TLS configuration: roots, the client's own certificate, name checks, and reloads by content.
//!
//! ```
//! # fn main() -> milena_core::Result<()> {
//! # let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
//! # use base64::Engine as _;
//! # let text = base64::engine::general_purpose::STANDARD.encode(key.cert.der());
//! # let ca = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
//! use milena_security::tls::{PemSource, Roots, TlsConfig};
//!
//! // Files are read when the configuration is built: PemSource::file("/etc/kafka/ca.pem").
//! let tls = TlsConfig::builder().roots(Roots::pem(PemSource::text(ca))).build()?;
//! let name = tls.server_name("broker-1.example.com.")?;
//! assert_eq!(name.to_str(), "broker-1.example.com");
//! # Ok(())
//! # }
//! ```

mod any_name;
mod builder;
mod certificate;
mod clock;
mod config;
mod failure;
mod foreign;
mod identity;
mod material;
mod pem_source;
mod private_key;
mod provider;
mod roots;
mod server;
#[cfg(feature = "http")]
mod signer;
mod watch;

pub use builder::TlsBuilder;
pub use certificate::Validity;
pub use config::TlsConfig;
pub use failure::HandshakeFailure;
pub use identity::{Identity, IdentitySource};
pub use pem_source::PemSource;
pub use roots::Roots;
pub use server::{ClientCertificates, TlsServerBuilder, TlsServerConfig};
#[cfg(feature = "http")]
pub use signer::{SigningAlgorithm, TokenSigner};
pub use watch::{Reload, TlsWatch};
