//! Signs of life: each broker is asked now and then, so that one that nobody uses is known to answer or not.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_core::NodeId;
use milena_protocol::messages::MetadataRequest;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::cluster::{Cluster, Inner};

impl Cluster {
    /// Asks each broker for a sign of life now and then, `every` so long, until the cluster is closed or its last handle is gone.
    /// Observers are told as of any other request: what answers, how fast, and what cannot be reached.
    pub fn keep_probing(&self, every: Duration) {
        self.0.probe_every(every.max(SHORTEST));
    }
}

pub(crate) async fn run(cluster: Weak<Inner>, every: Duration) {
    let Some(signals) = cluster.upgrade().map(|inner| inner.signals.clone()) else {
        return;
    };
    loop {
        let Some(brokers) = cluster.upgrade().map(|inner| brokers(&inner)) else {
            return;
        };
        let round = async {
            let asked = brokers.iter().map(|(_, broker)| ask(broker));
            let seen = futures_util::future::join_all(asked).await;
            let known: BTreeSet<NodeId> = brokers.iter().map(|(node, _)| *node).collect();
            if seen.into_iter().flatten().any(|seen| seen != known) {
                // One came, or left.
                signals.ask_whole();
            }
            sleep(every).await;
        };
        tokio::select! {
            () = signals.closing.cancelled() => return,
            () = round => {}
        }
    }
}

/// Without the cluster, which ends with its last handle.
fn brokers(inner: &Inner) -> Vec<(NodeId, Arc<Broker>)> {
    let metadata = inner.metadata.load();
    let known = metadata.brokers().map(|known| known.node);
    let brokers = known.filter_map(|node| Some((node, inner.broker(node).ok()?)));
    brokers.collect()
}

/// Which brokers this one sees; `None` when it does not answer. Events tell how it went.
async fn ask(broker: &Broker) -> Option<BTreeSet<NodeId>> {
    let connection = broker.check_out().await.ok()?;
    let nothing = MetadataRequest::default().with_topics(Some(Vec::new()));
    let answer = connection.call_with(&nothing, PATIENCE).await.ok()?;
    let nodes = answer
        .brokers
        .iter()
        .map(|broker| NodeId::from_wire(*broker.node_id));
    nodes.collect()
}

/// How long a sign of life may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// A bound under which it would be a load.
const SHORTEST: Duration = Duration::from_millis(100);
