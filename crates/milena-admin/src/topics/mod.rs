//! Topics: what is said of them, the verbs over them, and the manager that holds them against what is wanted.

#[cfg(feature = "toml")]
mod file;
mod manager;
mod state;
mod types;
mod values;
mod verbs;

pub use manager::TopicManager;
pub use state::{Difference, TopicState};
pub use types::{CreatedTopic, NewTopic, PartitionDescription, TopicDescription, TopicListing};
