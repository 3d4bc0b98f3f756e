//! The log lines of a cluster: one when it is reached, and one when a broker is lost or back.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fmt::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use milena_broker::Broker;
use milena_pool::{Cluster, Role};
use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Keeps the log lines of the pool at `info` and above.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    /// Returns the number of lines that begin with `level` and contain all `parts`.
    fn count(&self, level: Level, parts: &[&str]) -> usize {
        let lines = self.0.lock();
        let fits = |line: &&String| {
            line.starts_with(level.as_str()) && parts.iter().all(|part| line.contains(part))
        };
        lines.iter().filter(fits).count()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("milena_pool")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_dies_and_comes_back_is_told_once_each() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let broker = Broker::builder().brokers(2).start().await.unwrap();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .connect()
        .await
        .unwrap();
    let id = cluster.metadata().cluster_id().unwrap().to_owned();
    let both = [
        "connected to the cluster",
        &id,
        "broker-1.memory:9092",
        "broker-2.memory:9092",
    ];
    assert_eq!(lines.count(Level::INFO, &both), 1, "{:?}", lines.0.lock());
    let node = cluster.metadata().brokers().last().unwrap().node;
    cluster.connection(node, Role::Produce).await.unwrap();
    assert_eq!(lines.0.lock().len(), 1, "{:?}", lines.0.lock());
    broker.inspect().broker_down(node.to_wire());
    for _ in 0..51 {
        // The broker may have left the metadata already. This call then does not dial.
        let _ = cluster.connection(node, Role::Produce).await;
        sleep(Duration::from_secs(1)).await;
    }
    let address = "broker-2.memory:9092";
    let lost = lines.count(Level::WARN, &[address, "error="]);
    assert_eq!(lost, 1, "{:?}", lines.0.lock());
    broker.inspect().broker_up(node.to_wire());
    cluster.refresh().await.unwrap();
    cluster.connection(node, Role::Produce).await.unwrap();
    let back = lines.count(Level::INFO, &[address, "can be reached again"]);
    assert_eq!(back, 1, "{:?}", lines.0.lock());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn renewals_that_fail_are_told_once_and_so_is_their_end() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let broker = Broker::builder().start().await.unwrap();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .connect()
        .await
        .unwrap();
    broker.inspect().broker_down(1);
    cluster.request_refresh();
    sleep(Duration::from_secs(60)).await;
    let failing = lines.count(Level::WARN, &["cannot be refreshed", "error="]);
    assert_eq!(failing, 1, "{:?}", lines.0.lock());
    broker.inspect().broker_up(1);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(lines.count(Level::INFO, &["refreshed again"]), 1);
    cluster.close().await;
}
