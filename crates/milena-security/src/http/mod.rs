//! The one small HTTP client of milena: https only, no redirects to other hosts, caps on size and
//! time.
//!
//! ```no_run
//! # async fn example() -> milena_core::Result<()> {
//! use milena_security::http::{HttpClient, HttpRequest};
//! use milena_security::tls::TlsConfig;
//!
//! let client = HttpClient::builder(TlsConfig::builder().build()?).build();
//! let request = HttpRequest::get("https://login.example.com/keys".parse()?);
//! let answer = client.send(&request).await?;
//! assert_eq!(answer.status(), 200);
//! # Ok(())
//! # }
//! ```

mod answer;
mod client;
mod plain;
mod request;
mod url;
mod wire;

pub use answer::HttpAnswer;
pub use client::{HttpClient, HttpClientBuilder};
pub use request::HttpRequest;
pub use url::HttpUrl;
