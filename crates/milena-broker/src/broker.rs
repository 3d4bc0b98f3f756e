//! A running cluster of embedded brokers, as its owner holds it.

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
/// Dropping it ends all its tasks soon. [`shutdown`](Self::shutdown) also waits for them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_broker::Broker;
///
/// let broker = Broker::builder()
///     .brokers(3)
///     .topic("orders", 6)
///     .listen("127.0.0.1:0")
///     .start()
///     .await?;
/// println!("kcat -b {} -L", broker.bootstrap_servers());
/// broker.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Broker {
    /// The cluster. Its tasks hold it too, until `stop` ends them.
    cluster: Arc<Cluster>,
}

impl Broker {
    /// Begins to describe a cluster.
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// Returns the addresses of all brokers, up or down, as `host:port`. They are TCP addresses if
    /// the cluster listens, and else addresses for the dialer. To print them or to write them into
    /// a setting, use [`bootstrap_servers`](Self::bootstrap_servers).
    pub fn bootstrap(&self) -> Vec<String> {
        self.cluster
            .nodes
            .iter()
            .map(|node| node.address().to_string())
            .collect()
    }

    /// Returns the addresses of [`bootstrap`](Self::bootstrap) as one text, separated by commas. It
    /// is the value of `bootstrap.servers` in the settings of any client.
    pub fn bootstrap_servers(&self) -> String {
        self.bootstrap().join(",")
    }

    /// Returns the addresses of all brokers with their node ids.
    pub fn addresses(&self) -> Vec<(i32, Address)> {
        self.cluster
            .nodes
            .iter()
            .map(|node| (node.id, node.address()))
            .collect()
    }

    /// Returns a closure that opens connections in memory to the advertised addresses. It also
    /// works if the brokers listen on TCP.
    ///
    /// A connection is refused, as by a socket, if the address belongs to no broker or the broker
    /// is down.
    pub fn dialer(
        &self,
    ) -> impl Fn(Address) -> Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>
    + Clone
    + Send
    + Sync
    + 'static {
        listen::dialer(&self.cluster)
    }

    /// Returns the faults, which make the cluster misbehave by script.
    pub fn faults(&self) -> &Faults {
        &self.cluster.faults
    }

    /// Returns the journal of requests.
    pub fn journal(&self) -> &Journal {
        &self.cluster.journal
    }

    /// Returns an inspector, which reads and changes the cluster without a client.
    pub fn inspect(&self) -> Inspector<'_> {
        Inspector::new(&self.cluster)
    }

    /// Closes all connections and waits until every task has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the tasks still end.
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
