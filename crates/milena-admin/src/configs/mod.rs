//! Configs of topics, brokers and groups: described with their sources, and altered by key.

mod resource;
mod types;

pub use resource::ConfigResource;
pub use types::{ConfigChange, ConfigEntry, ConfigKind, ConfigSource};
