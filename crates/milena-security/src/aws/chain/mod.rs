//! The chain of places in which a program on AWS finds its credentials.
//!
//! The order is that of AWS's own libraries: variables, web identity, profile file, container
//! endpoint, instance endpoint. The first place that is set up counts. Its failure is the failure
//! of the chain, so that a program never runs as somebody else by accident.

mod container;
mod environment;
mod instance;
mod profile;
mod provider;
mod reading;
mod sts;
mod web_identity;

pub use provider::{AwsChain, AwsChainBuilder};
