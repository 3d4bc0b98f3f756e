//! Tests of the fetch task's bookkeeping, step by step.

use futures_util::StreamExt;
use milena_broker::Broker;
use milena_core::{Observers, Reason, TopicPartition};
use milena_lanes::PauseHolder;
use milena_pool::Cluster;

use super::*;
use crate::partition::FetchFrom;
use crate::settings::Settings;

/// Takes the partitions that changed away from the fetch task, as if it had just looked at them.
fn lose_touched(fetcher: &Fetcher) {
    drop(fetcher.core.wakes.touched.drain(Partition::fetch_mark));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_paused_between_a_look_and_a_request_is_not_asked_for_later() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
    let cluster = cluster.connect().await.unwrap();
    cluster.topic("orders").await.unwrap();
    let core = Core::new(cluster, Settings::new(None, Observers::none()));
    let place = TopicPartition::new("orders", 0);
    let start = [(place, FetchFrom::At(0_u32.into()))];
    core.assignment.assign(start);
    let partition = core.assignment.partitions().remove(0);
    let by = PauseHolder::User;
    let reason = Reason::Borrowed("a test");

    let mut fetcher = Fetcher::new(Arc::clone(&core));
    fetcher.start(Instant::now());
    partition.pause(&by, reason.clone());
    fetcher.start(Instant::now());
    // It is resumed after the look and before the next request.
    partition.resume(&by);
    lose_touched(&fetcher);
    let landed = fetcher.flying.next().await.unwrap();
    fetcher.land(landed);
    lose_touched(&fetcher);
    fetcher.start(Instant::now());
    assert_eq!(fetcher.flying.len(), 1);

    partition.pause(&by, reason);
    fetcher.start(Instant::now());
    let landed = fetcher.flying.next().await.unwrap();
    fetcher.land(landed);
    fetcher.start(Instant::now());
    assert!(fetcher.flying.is_empty());
}
