//! A running cluster of embedded brokers, in the hands of its owner.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use milena_core::Address;
use tokio::io::DuplexStream;

use crate::builder::BrokerBuilder;
use crate::cluster::Cluster;
use crate::faults::Faults;
use crate::inspect::Inspector;
use crate::journal::Journal;
use crate::listen;

/// One or more Kafka brokers inside this process.
///
/// Dropping it ends all its tasks soon; [`shutdown`](Self::shutdown) also waits for them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_broker::Broker;
///
/// let broker = Broker::builder().brokers(3).topic("orders", 6).listen("127.0.0.1:0").start().await?;
/// println!("kcat -b {} -L", broker.bootstrap().join(","));
/// broker.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Broker {
    cluster: Arc<Cluster>,
}

impl Broker {
    /// Describes a cluster.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// The addresses of all brokers, up or down, as `host:port`: good for TCP where it listens, else for the dialer.
    pub fn bootstrap(&self) -> Vec<String> {
        self.cluster
            .nodes
            .iter()
            .map(|node| node.address().to_string())
            .collect()
    }

    /// The addresses of all brokers with their node ids.
    pub fn addresses(&self) -> Vec<(i32, Address)> {
        self.cluster
            .nodes
            .iter()
            .map(|node| (node.id, node.address()))
            .collect()
    }

    /// Opens connections in memory to the advertised addresses, also where the brokers listen on TCP too.
    ///
    /// The closure is refused like a socket would be where the address is not one of the brokers' or the broker is down.
    pub fn dialer(
        &self,
    ) -> impl Fn(Address) -> Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>
    + Clone
    + Send
    + Sync
    + 'static {
        listen::dialer(&self.cluster)
    }

    /// What goes wrong, by script.
    pub fn faults(&self) -> &Faults {
        &self.cluster.faults
    }

    /// What was asked.
    pub fn journal(&self) -> &Journal {
        &self.cluster.journal
    }

    /// Looks into the cluster and changes it, without a client.
    pub fn inspect(&self) -> Inspector<'_> {
        Inspector::new(&self.cluster)
    }

    /// Closes all connections and waits until every task has ended.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, the tasks still end.
    pub async fn shutdown(&self) {
        self.cluster.stop.cancel();
        self.cluster.tasks.ended().await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.cluster.stop.cancel();
    }
}
