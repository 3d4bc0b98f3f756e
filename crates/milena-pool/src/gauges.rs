//! The figures of a cluster: its pools, and the figures of its users.

use std::sync::{Arc, Weak};

use milena_core::{Gauge, Gauges};

use crate::cluster::Cluster;
use crate::core::ClusterCore;

/// Reads a cluster's figures. Holds the cluster weakly, so that figures do not keep connections
/// open.
struct ClusterGauges(Weak<ClusterCore>);

impl Gauges for ClusterGauges {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let Some(cluster) = self.0.upgrade() else {
            return;
        };
        let held = cluster.held_brokers();
        for known in cluster.metadata.load().brokers() {
            let pool = held
                .get(&known.node)
                .map(|broker| broker.pool_status())
                .unwrap_or_default();
            sink(Gauge::Pool {
                node: known.node,
                address: &known.address,
                size: pool.size,
                idle: pool.available,
                waiting: pool.waiting,
            });
        }
        for user in cluster.users.all() {
            user.read_gauges(sink);
        }
    }

    fn is_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

impl Cluster {
    /// Returns the figures of the brokers and of all producers and consumers that share this
    /// cluster. They end with their owners.
    #[must_use]
    pub fn gauges(&self) -> Arc<dyn Gauges> {
        Arc::new(ClusterGauges(Arc::downgrade(self.core())))
    }
}
