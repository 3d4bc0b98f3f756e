//! Administration of a cluster: typed verbs, each with a result per item.
//!
//! ```no_run
//! # async fn run(admin: milena_admin::Admin) -> milena_core::Result<()> {
//! use milena_admin::{NewTopic, ResetTo};
//!
//! admin.create_topics([NewTopic::new("orders").partitions(4)]).await?.all()?;
//! for topic in admin.list_topics().await? {
//!     println!("{} with {} partitions", topic.name, topic.partitions);
//! }
//! let plan = admin.plan_reset("billing", ["orders"], ResetTo::Earliest).await?; // changes nothing yet
//! admin.apply_reset(&plan).await?.all()?;
//! # Ok(())
//! # }
//! ```
//!
//! A verb over items that live on several brokers is split by broker, asked side by side and merged. What a broker refused without doing it
//! (it leads or coordinates no longer, it is loading) is asked again where it lives now; a request whose answer was lost is asked again only
//! where twice does no harm. All of a verb ends within [`Admin::timeout`].

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
