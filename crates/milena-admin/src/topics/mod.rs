//! Topics: their types, the verbs over them, and the manager of wanted topics.

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
