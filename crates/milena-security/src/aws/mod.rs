//! AWS identities: credentials, the signature of requests (SigV4), and tokens for Amazon MSK.

#[cfg(feature = "http")]
mod chain;
mod credentials;
mod msk;
mod region;
mod sigv4;

pub(crate) use msk::{ACTION, USER_AGENT};
pub(crate) use sigv4::ALGORITHM;

#[cfg(feature = "http")]
pub use chain::{AwsChain, AwsChainBuilder};
pub use credentials::{AwsCredentialProvider, AwsCredentials};
pub use msk::{MskRequest, MskTokenProvider, verify_msk_token};
pub use region::Region;
