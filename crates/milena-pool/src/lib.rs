//! Connections to a cluster: dialing, handshakes, pipelined requests, pools, metadata, leaders and
//! coordinators.
//!
//! [`Cluster`] is the handle on a cluster. It holds the [`Metadata`], sends short requests to the
//! right broker ([`Cluster::send`]), and opens separate connections for produce, fetch and group
//! requests ([`Cluster::connection`]). [`Connection`] is one connection to one broker.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> milena_core::Result<()> {
//! use milena_pool::{Cluster, Target};
//! use milena_protocol::messages::ListGroupsRequest;
//!
//! let broker = milena_broker::Broker::builder().topic("orders", 6).start().await?;
//! let cluster = Cluster::builder(broker.bootstrap())
//!     .connector(broker.dialer())
//!     .client_id("billing")
//!     .connect()
//!     .await?;
//! assert_eq!(cluster.topic("orders").await?.partitions.len(), 6);
//! let groups = cluster.send(&Target::Any, &ListGroupsRequest::default()).await?;
//! assert!(groups.groups.is_empty());
//! cluster.close().await;
//! # Ok(())
//! # }
//! ```

mod all_topics;
mod broker;
mod cluster;
mod connect;
mod connection;
mod coordinator;
mod core;
mod doubts;
mod driver;
mod find_coordinator;
mod frames;
mod gauges;
mod handshake;
mod line;
mod merge;
mod metadata;
mod node_backoff;
mod options;
mod outgoing;
mod own;
mod pace;
mod probe;
mod race;
mod refresher;
mod renew;
mod rtt;
mod send;
mod settings;
mod signals;
mod slot;
mod spares;
mod standing;
mod tasks;
mod tcp;
mod throttle;
mod timing;
mod topic_map;
mod topics;
mod upkeep;
mod users;
mod wanted;
mod writes;

pub use all_topics::AllTopics;
pub use broker::Role;
pub use cluster::Cluster;
pub use connect::{BoxFuture, BoxStream, Connect, Stream};
pub use connection::Connection;
pub use coordinator::CoordinatorKey;
pub use handshake::{ApiVersionsStep, HandshakeStep, Link};
pub use metadata::{BrokerMetadata, Metadata, PartitionMetadata, TopicMetadata};
pub use options::ConnectionOptions;
pub use outgoing::{Answer, Watch};
pub use own::OwnConnections;
pub use send::Target;
pub use settings::ClusterBuilder;
pub use tcp::TcpConnect;
pub use users::{ClusterUser, EndStage};
