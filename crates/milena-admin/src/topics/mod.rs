//! Topics: their types, the verbs over them, and the manager of wanted topics.

mod describe;
#[cfg(feature = "toml")]
mod file;
mod manager;
mod new_topic;
mod state;
mod values;

pub use describe::{PartitionDescription, TopicDescription, TopicListing};
pub use manager::TopicManager;
pub use new_topic::{CreatedTopic, NewTopic};
pub use state::{Difference, TopicState};
