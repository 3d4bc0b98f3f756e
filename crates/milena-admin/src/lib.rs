//! Administration of a cluster: typed verbs, each with one result per item.
//!
//! ```no_run
//! # async fn run(admin: milena_admin::Admin) -> milena_core::Result<()> {
//! use milena_admin::{NewTopic, ResetTo};
//!
//! admin.create_topics([NewTopic::new("orders").partitions(4)]).await?.all()?;
//! for topic in admin.list_topics().await? {
//!     println!("{} with {} partitions", topic.name, topic.partitions);
//! }
//! // The plan changes nothing yet.
//! let plan = admin.plan_reset("billing", ["orders"], ResetTo::Earliest).await?;
//! admin.apply_reset(&plan).await?.all()?;
//! # Ok(())
//! # }
//! ```
//!
//! A verb may concern items on several brokers. It is split by broker, the brokers are asked
//! concurrently, and their results are merged.
//!
//! - If a broker refused an item without changing anything, the item is sent to its new broker.
//!   That happens when a leader or coordinator has moved or is loading.
//! - If the answer to a request was lost, the item is sent again only if a second execution is
//!   harmless.
//!
//! Everything that a verb does ends within [`Admin::timeout`].

mod admin;
mod answers;
mod cluster;
mod configs;
mod elections;
mod groups;
mod homes;
mod lag;
mod offsets;
mod outcomes;
mod partitions;
mod shard;
mod topics;

pub use admin::Admin;
pub use cluster::{BrokerDescription, ClusterDescription, Feature};
pub use configs::{ConfigChange, ConfigEntry, ConfigKind, ConfigResource, ConfigSource};
pub use elections::{Election, ElectionKind};
pub use groups::{
    GroupDescription, GroupListing, GroupListings, GroupState, GroupType, ListGroups,
    MemberDescription,
};
pub use lag::{GroupLag, PartitionLag};
pub use offsets::{
    CommittedOffset, ListedOffset, OffsetMove, OffsetSpec, ResetPlan, ResetScope, ResetTo,
};
pub use outcomes::PerItem;
pub use partitions::{DeleteUpTo, NewPartitions};
pub use topics::{
    CreatedTopic, Difference, NewTopic, PartitionDescription, TopicDescription, TopicListing,
    TopicManager, TopicState,
};
