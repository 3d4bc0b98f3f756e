//! Administration of a cluster: typed verbs, each with a result per item.
//!
//! ```no_run
//! # async fn run(admin: milena_admin::Admin) -> milena_core::Result<()> {
//! use milena_admin::NewTopic;
//!
//! admin.create_topics([NewTopic::new("orders").partitions(4)]).await?.all()?;
//! for topic in admin.list_topics().await? {
//!     println!("{} with {} partitions", topic.name, topic.partitions);
//! }
//! # Ok(())
//! # }
//! ```

mod admin;
mod outcomes;
mod topics;

pub use admin::Admin;
pub use outcomes::PerItem;
pub use topics::{CreatedTopic, NewTopic, PartitionDescription, TopicDescription, TopicListing};
