//! Passwords, tokens and keys, and the places that they are read from.

mod command;
mod reader;
mod source;
mod value;

pub use reader::SecretReader;
pub use source::SecretSource;
pub use value::{CredentialId, Secret};
