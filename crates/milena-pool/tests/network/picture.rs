//! The metadata of a cluster over time: the topics asked for, the frequency, and the topics
//! removed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::bed::{Peer, scripted};
use milena_broker::{Broker, Fault};
use milena_core::{Address, ErrorCode, ErrorKind, TopicName, TopicPartition};
use milena_pool::{Cluster, ClusterBuilder, Target};
use milena_protocol::ApiKey;
use milena_protocol::any::AnyRequest;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::metadata_response::MetadataResponseBroker;
use milena_protocol::messages::{BrokerId, ListGroupsRequest, MetadataRequest, MetadataResponse};
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn on(broker: &Broker) -> ClusterBuilder {
    Cluster::builder(broker.bootstrap()).connector(broker.dialer())
}

fn topic(name: &str) -> TopicName {
    TopicName::from(name)
}

/// Returns the number of topics that each Metadata request named. `None` for a request for all
/// topics.
fn named(broker: &Broker) -> Vec<Option<usize>> {
    let asked = broker.journal().requests(ApiKey::Metadata);
    let named = asked.iter().map(|entry| match entry.message() {
        Some(AnyRequest::Metadata(asked)) => asked.topics.as_ref().map(Vec::len),
        other => panic!("{other:?}"),
    });
    named.collect()
}

#[tokio::test(start_paused = true)]
async fn new_topics_are_asked_for_alone_and_at_once() {
    const TOPICS: usize = 300;
    let mut broker = Broker::builder().brokers(3);
    for number in 0..TOPICS {
        broker = broker.topic(format!("topic-{number}"), 2);
    }
    let broker = broker.start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    broker.journal().clear();
    let started = Instant::now();
    for number in 0..TOPICS {
        cluster.topic(format!("topic-{number}")).await.unwrap();
    }
    // Virtual time passes only while something waits.
    assert!(started.elapsed() < SECOND, "{:?}", started.elapsed());
    let named = named(&broker);
    assert_eq!(named.len(), TOPICS);
    assert!(named.iter().all(|count| *count == Some(1)), "{named:?}");
    broker.journal().clear();
    cluster.refresh().await.unwrap();
    let whole = broker.journal().requests(ApiKey::Metadata);
    let Some(AnyRequest::Metadata(asked)) = whole[0].message() else {
        panic!("{whole:?}");
    };
    assert_eq!(asked.topics.as_ref().unwrap().len(), TOPICS);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn topics_that_are_wanted_at_once_share_a_request() {
    let broker = Broker::builder().topic("a", 1).topic("b", 1).topic("c", 1);
    let broker = broker.start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    broker.journal().clear();
    let (a, b, c) = tokio::join!(cluster.topic("a"), cluster.topic("b"), cluster.topic("c"));
    a.and(b).and(c).unwrap();
    assert!(named(&broker).len() <= 2, "{:?}", named(&broker));
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_has_changed_is_asked_for_alone() {
    let broker = Broker::builder().brokers(2).topic("a", 1).topic("b", 1);
    let broker = broker.replication_factor(2).start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    cluster.topic("a").await.unwrap();
    cluster.topic("b").await.unwrap();
    let place = TopicPartition::new("a", 0);
    let leader = cluster.metadata().leader(&place).unwrap().to_wire();
    assert!(broker.inspect().move_leader("a", 0, 3 - leader));
    broker.journal().clear();
    for _ in 0..50 {
        cluster.request_topics([topic("a")]);
    }
    sleep(SECOND).await;
    let named = named(&broker);
    assert!(named.len() <= 2, "{named:?}");
    assert!(named.iter().all(|count| *count == Some(1)), "{named:?}");
    let moved = cluster.metadata().leader(&place).unwrap().to_wire();
    assert_eq!(moved, 3 - leader);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn while_answers_bring_nothing_new_they_are_asked_for_once_a_second() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    cluster.topic("orders").await.unwrap();
    broker.journal().clear();
    let asking = async {
        loop {
            // A producer does the same while its partition has no leader for a long time.
            cluster.request_refresh();
            sleep(Duration::from_millis(10)).await;
        }
    };
    let _: Result<(), _> = timeout(60 * SECOND, asking).await;
    let asked = named(&broker).len();
    assert!((50..=80).contains(&asked), "{asked} in a minute");
    // A new topic is still asked for at once.
    broker.inspect().create_topic("new", 1).unwrap();
    let started = Instant::now();
    cluster.topic("new").await.unwrap();
    assert!(started.elapsed() < SECOND / 10, "{:?}", started.elapsed());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_failed_is_tried_again_until_one_works() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let mut changed = cluster.changed();
    changed.mark_unchanged();
    let refused = Fault::disconnect().on(ApiKey::Metadata).times(8);
    let refused = broker.faults().add(refused);
    cluster.request_refresh();
    timeout(60 * SECOND, changed.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(refused.fired(), 8);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_leaves_a_picture_of_all_topics() {
    for brokers in [1, 3] {
        let broker = Broker::builder().brokers(brokers);
        let broker = broker.topic("kept", 1).topic("gone", 3);
        let broker = broker.start().await.unwrap();
        let cluster = on(&broker).connect().await.unwrap();
        let _all = cluster.want_all_topics();
        cluster.refresh().await.unwrap();
        let id = cluster.metadata().topic("gone").unwrap().id.unwrap();
        assert!(broker.inspect().delete_topic("gone"));
        cluster.refresh().await.unwrap();
        // The topic is asked for again without a request.
        sleep(10 * SECOND).await;
        assert!(cluster.metadata().topic("gone").is_none());
        assert!(cluster.metadata().topic_by_id(id).is_none());
        assert!(cluster.metadata().topic("kept").is_some());
        broker.journal().clear();
        sleep(60 * SECOND).await;
        assert!(named(&broker).is_empty(), "{:?}", named(&broker));
        cluster.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_by_name_that_was_deleted_has_no_partitions_left() {
    let broker = Broker::builder().topic("orders", 3).start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    cluster.topic("orders").await.unwrap();
    assert!(broker.inspect().delete_topic("orders"));
    cluster.refresh().await.unwrap();
    let place = TopicPartition::new("orders", 0);
    assert!(cluster.metadata().leader(&place).is_some());
    sleep(10 * SECOND).await;
    let shown = cluster.metadata().topic("orders").cloned().unwrap();
    assert_eq!(shown.error, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(shown.partitions.is_empty());
    broker.inspect().create_topic("orders", 1).unwrap();
    cluster.refresh().await.unwrap();
    assert_eq!(cluster.topic("orders").await.unwrap().partitions.len(), 1);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn all_topics_are_shown_for_as_long_as_somebody_wants_them() {
    let broker = Broker::builder().topic("mine", 1).topic("other", 1);
    let broker = broker.start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    cluster.topic("mine").await.unwrap();
    let (first, second) = (cluster.want_all_topics(), cluster.want_all_topics());
    cluster.refresh().await.unwrap();
    assert_eq!(cluster.metadata().topics().count(), 2);
    drop(first);
    cluster.refresh().await.unwrap();
    assert_eq!(cluster.metadata().topics().count(), 2);
    drop(second);
    broker.journal().clear();
    cluster.refresh().await.unwrap();
    assert!(cluster.metadata().topic("mine").is_some());
    assert!(cluster.metadata().topic("other").is_none());
    assert_eq!(named(&broker), [Some(1)]);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_nothing_uses_is_asked_for_no_more_until_it_is_wanted_again() {
    let broker = Broker::builder().topic("used", 1).topic("idle", 1);
    let broker = broker.start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    cluster.topic("used").await.unwrap();
    cluster.topic("idle").await.unwrap();
    for _ in 0..20 {
        sleep(60 * SECOND).await;
        assert!(cluster.metadata().topic("used").is_some());
    }
    assert!(cluster.metadata().peek_topic("idle").is_none());
    let last = named(&broker).last().copied();
    assert_eq!(last, Some(Some(1)));
    let mut changed = cluster.changed();
    changed.mark_unchanged();
    cluster.want_topics([topic("idle")]);
    changed.changed().await.unwrap();
    assert!(cluster.metadata().topic("idle").is_some());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn how_long_a_topic_that_nothing_uses_stays_is_a_setting() {
    for (idle, stays) in [(60, false), (3600, true)] {
        let broker = Broker::builder().topic("idle", 1).start().await.unwrap();
        let cluster = on(&broker).metadata_max_age(30 * SECOND);
        let cluster = cluster.metadata_max_idle(idle * SECOND);
        let cluster = cluster.connect().await.unwrap();
        cluster.topic("idle").await.unwrap();
        sleep(150 * SECOND).await;
        let shown = cluster.metadata().peek_topic("idle").is_some();
        assert_eq!(shown, stays, "{idle} s");
        cluster.close().await;
    }
    let broker = Broker::builder().start().await.unwrap();
    let refused = on(&broker).metadata_max_idle(Duration::ZERO).connect();
    let error = refused.await.unwrap_err();
    assert!(
        error.to_string().contains("metadata.max.idle.ms"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_topic_id_of_old_from_a_broker_that_lags_changes_nothing() {
    let broker = Broker::builder().brokers(3).topic("orders", 1);
    let broker = broker.start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let first = cluster.topic("orders").await.unwrap().id;
    let lags = Fault::stale_metadata().on(ApiKey::Metadata);
    let lags = broker.faults().add(lags.node(2).always());
    broker.inspect().delete_topic("orders");
    broker.inspect().create_topic("orders", 1).unwrap();
    let mut ids = vec![first];
    for _ in 0..60 {
        cluster.refresh().await.unwrap();
        let id = cluster.metadata().topic("orders").unwrap().id;
        if ids.last() != Some(&id) {
            ids.push(id);
        }
    }
    assert!(lags.fired() > 1, "the broker that lags was asked");
    assert_eq!(ids.len(), 2, "it changed once: {ids:?}");
    cluster.close().await;
}

/// Answers as one of `brokers` brokers at `host(number)`, in the cluster `id`.
async fn tells(mut peer: Peer, brokers: i32, host: fn(i32) -> String, id: &'static str) {
    peer.greet().await;
    while let Some((header, _)) = peer.read().await {
        let brokers = (1..=brokers).map(|number| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(number))
                .with_host(StrBytes::from_string(host(number)))
                .with_port(9_092)
        });
        let answer = MetadataResponse::default()
            .with_cluster_id(Some(StrBytes::from_static_str(id)))
            .with_brokers(brokers.collect());
        peer.answer::<MetadataRequest>(&header, &answer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_cluster_that_moved_is_found_by_its_bootstrap_address_in_seconds() {
    let peer = scripted(|peer: Peer, _| tells(peer, 300, |n| format!("dead-{n}"), "one"));
    let peer = Arc::new(peer);
    let cluster = Cluster::builder(["seed:9092"])
        .connector(move |address: Address| {
            let peer = peer.clone();
            async move {
                if address.host() != "seed" {
                    // Packets to the old addresses are lost.
                    std::future::pending::<()>().await;
                }
                milena_pool::Connect::dial(&*peer, &address).await
            }
        })
        .connect()
        .await
        .unwrap();
    assert_eq!(cluster.metadata().brokers().count(), 300);
    let started = Instant::now();
    cluster.refresh().await.unwrap();
    assert!(started.elapsed() < 6 * SECOND, "{:?}", started.elapsed());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_leads_to_another_cluster_changes_nothing() {
    let moved = Arc::new(AtomicBool::new(false));
    let other = moved.clone();
    let peer = scripted(move |peer: Peer, _| {
        let id = match other.load(Ordering::Relaxed) {
            true => "two",
            false => "one",
        };
        tells(peer, 1, |n| format!("broker-{n}"), id)
    });
    let cluster = Cluster::builder(["seed:9092"])
        .connector(peer)
        .connections_max_idle(SECOND)
        .connect()
        .await
        .unwrap();
    cluster.refresh().await.unwrap();
    moved.store(true, Ordering::Relaxed);
    sleep(5 * SECOND).await;
    let error = cluster.refresh().await.unwrap_err();
    for part in ["cluster two", "cluster one"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(cluster.metadata().cluster_id(), Some("one"));
    moved.store(false, Ordering::Relaxed);
    sleep(5 * SECOND).await;
    cluster.refresh().await.unwrap();
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_for_the_leader_of_partitions_is_given_up_once_another_one_leads() {
    let broker = Broker::builder().brokers(2).topic("orders", 1);
    let broker = broker.replication_factor(2).start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    cluster.topic("orders").await.unwrap();
    let place = TopicPartition::new("orders", 0);
    let leader = cluster.metadata().leader(&place).unwrap();
    let leading = Target::Leading(leader, Arc::from([place.clone()]));
    let request = ListGroupsRequest::default();
    cluster.send(&leading, &request).await.unwrap();
    broker.inspect().broker_down(leader.to_wire());
    let started = Instant::now();
    let error = cluster.send(&leading, &request).await.unwrap_err();
    assert!(error.is_retriable(), "{error}");
    // The API timeout would be a minute.
    assert!(started.elapsed() < 5 * SECOND, "{:?}", started.elapsed());
    let next = cluster.metadata().leader(&place).unwrap();
    assert_ne!(next, leader);
    let error = cluster.send(&leading, &request).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NOT_LEADER_OR_FOLLOWER));
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_in_memory_without_its_connector_is_told_apart() {
    let broker = Broker::builder().start().await.unwrap();
    let tried = Arc::new(AtomicUsize::new(0));
    let counted = tried.clone();
    let nowhere = milena_pool::TcpConnect::new().resolver(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { Err(io::Error::other("failed to lookup address information")) })
    });
    let connecting = Cluster::builder(broker.bootstrap())
        .connector(nowhere)
        .api_timeout(2 * SECOND)
        .connect();
    let error = connecting.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert!(error.to_string().contains("connector"), "{error}");
    assert!(tried.load(Ordering::Relaxed) > 0);
}
