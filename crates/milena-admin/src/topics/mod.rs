//! Topics: what is said of them, the verbs over them, and the manager that holds them against what is wanted.

#[cfg(feature = "toml")]
mod file;
mod manager;
mod types;
mod verbs;

pub use manager::{Difference, TopicManager, TopicState};
pub use types::{CreatedTopic, NewTopic, PartitionDescription, TopicDescription, TopicListing};
