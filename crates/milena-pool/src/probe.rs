//! Probes. Each broker is asked from time to time, so that it is known if an unused broker answers.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use milena_core::NodeId;
use milena_protocol::messages::MetadataRequest;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::core::ClusterCore;

/// Probes all brokers at the interval `every`.
pub(crate) async fn run(cluster: Weak<ClusterCore>, every: Duration) {
    let Some(signals) = cluster.upgrade().map(|core| core.signals.clone()) else {
        return;
    };
    loop {
        let Some(brokers) = cluster.upgrade().map(|core| brokers(&core)) else {
            return;
        };
        let round = async {
            let asked = brokers.iter().map(|(_, broker)| ask(broker));
            let seen = futures_util::future::join_all(asked).await;
            let known: BTreeSet<NodeId> = brokers.iter().map(|(node, _)| *node).collect();
            if seen.into_iter().flatten().any(|seen| seen != known) {
                // A broker joined or left the cluster.
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

/// Returns the brokers without the cluster, which must be able to end while a probe waits.
fn brokers(core: &ClusterCore) -> Vec<(NodeId, Arc<Broker>)> {
    let metadata = core.metadata.load();
    let known = metadata.brokers().map(|known| known.node);
    let brokers = known.filter_map(|node| Some((node, core.broker(node).ok()?)));
    brokers.collect()
}

/// Asks a broker which brokers it knows. `None` if it does not answer. Events report the details.
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

/// The longest time that a probe waits for its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The shortest interval. More frequent probes would be a load for the brokers.
pub(crate) const SHORTEST: Duration = Duration::from_millis(100);
