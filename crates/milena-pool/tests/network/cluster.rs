//! The cluster handle against the embedded broker: metadata, targets, pools, and its end.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use milena_broker::{Broker, Fault};
use milena_core::{Address, ErrorCode, ErrorKind, Event, NodeId, Persistence, TopicPartition};
use milena_pool::{Cluster, ClusterBuilder, CoordinatorKey, Role, Target};
use milena_protocol::ApiKey;
use milena_protocol::messages::{ListGroupsRequest, MetadataRequest};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn on(broker: &Broker) -> ClusterBuilder {
    Cluster::builder(broker.bootstrap()).connector(broker.dialer())
}

fn list() -> ListGroupsRequest {
    ListGroupsRequest::default()
}

#[tokio::test(start_paused = true)]
async fn the_picture_shows_brokers_and_the_topics_asked_for() {
    let broker = Broker::builder()
        .brokers(3)
        .topic("orders", 6)
        .topic("other", 1);
    let broker = broker.start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    assert_eq!(cluster.metadata().brokers().count(), 3);
    assert_eq!(cluster.metadata().topics().count(), 0);
    let orders = cluster.topic("orders").await.unwrap();
    assert_eq!(orders.partitions.len(), 6);
    assert!(
        cluster
            .metadata()
            .leader(&TopicPartition::new("orders", 5))
            .is_some()
    );
    assert!(cluster.metadata().topic("other").is_none());
    let _all = cluster.want_all_topics();
    cluster.refresh().await.unwrap();
    assert!(cluster.metadata().topic("other").is_some());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_ends_in_an_error_that_names_it() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let started = Instant::now();
    let error = cluster
        .topic_within("nowhere", 5 * SECOND)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.to_string().contains("topic nowhere"), "{error}");
    assert!(started.elapsed() <= 6 * SECOND);
    let asked = broker.journal().requests(ApiKey::Metadata).len();
    assert!(asked < 30, "asked {asked} times in five seconds");
    // Without a limit of the caller, the call fails soon and says how to create the topic.
    let started = Instant::now();
    let error = cluster.topic("nowhere").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    let told = error.to_string();
    assert!(told.contains("milena topics create nowhere"), "{told}");
    assert!(started.elapsed() <= 7 * SECOND, "{:?}", started.elapsed());
    let error = cluster.topic("no such name").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_unknown_for_a_moment_is_waited_for() {
    let broker = Broker::builder().topic("orders", 2).start().await.unwrap();
    let hidden = broker.faults().add(Fault::hide_topic("orders").times(3));
    let cluster = on(&broker).connect().await.unwrap();
    assert_eq!(cluster.topic("orders").await.unwrap().partitions.len(), 2);
    assert!(hidden.fired() > 0);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moved_is_found_after_a_renewal() {
    let broker = Broker::builder().brokers(3).topic("orders", 1);
    let broker = broker.replication_factor(3).start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    cluster.topic("orders").await.unwrap();
    let place = TopicPartition::new("orders", 0);
    let first = cluster.metadata().leader(&place).unwrap();
    let next = broker
        .addresses()
        .iter()
        .filter_map(|(node, _)| NodeId::from_wire(*node))
        .find(|node| *node != first)
        .unwrap();
    let moved = Fault::move_leader("orders", 0, next.to_wire()).on(ApiKey::ListGroups);
    broker.faults().add(moved);
    cluster.send(&Target::Any, &list()).await.unwrap();
    let mut changed = cluster.changed();
    cluster.note_error(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    timeout(5 * SECOND, changed.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(cluster.metadata().leader(&place), Some(next));
    let target = Target::Leader(place);
    cluster.send(&target, &list()).await.unwrap();
    let last = broker.journal().requests(ApiKey::ListGroups);
    assert_eq!(last.last().unwrap().node(), next.to_wire());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_picture_is_renewed_when_it_grows_old() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    broker.journal().clear();
    sleep(290 * SECOND).await;
    assert!(broker.journal().requests(ApiKey::Metadata).is_empty());
    sleep(20 * SECOND).await;
    assert_eq!(broker.journal().requests(ApiKey::Metadata).len(), 1);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn renewals_asked_for_at_once_become_few() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    broker.journal().clear();
    for _ in 0..500 {
        cluster.request_refresh();
    }
    cluster.refresh().await.unwrap();
    sleep(SECOND).await;
    let asked = broker.journal().requests(ApiKey::Metadata).len();
    assert!(asked <= 2, "{asked}");
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn renewals_asked_for_without_pause_are_spaced() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let started = Instant::now();
    for _ in 0..20 {
        cluster.refresh().await.unwrap();
    }
    assert!(started.elapsed() >= SECOND, "{:?}", started.elapsed());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_hangs_does_not_hold_a_renewal_back() {
    let broker = Broker::builder().brokers(3).start().await.unwrap();
    let started_over = Arc::new(AtomicUsize::new(0));
    let noted = started_over.clone();
    let cluster = on(&broker)
        .add_observer(Arc::new(move |event: &Event<'_>| {
            if let Event::Rebootstrap { .. } = event {
                noted.fetch_add(1, Ordering::Relaxed);
            }
        }))
        .connect()
        .await
        .unwrap();
    let hanging = Fault::silence()
        .on(ApiKey::Metadata)
        .node(broker.addresses()[0].0);
    broker.faults().add(hanging.always());
    for _ in 0..20 {
        let started = Instant::now();
        cluster.refresh().await.unwrap();
        assert!(started.elapsed() <= 2 * SECOND, "{:?}", started.elapsed());
    }
    assert_eq!(started_over.load(Ordering::Relaxed), 0);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_is_remembered_until_it_is_forgotten() {
    let broker = Broker::builder().brokers(3).start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let key = CoordinatorKey::group("billing");
    let unavailable = Fault::error(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    broker
        .faults()
        .add(unavailable.on(ApiKey::FindCoordinator).times(2));
    let first = cluster.coordinator(&key).await.unwrap();
    assert_eq!(cluster.coordinator(&key).await.unwrap(), first);
    assert_eq!(broker.journal().requests(ApiKey::FindCoordinator).len(), 3);
    let next = (first.to_wire() % 3) + 1;
    let moved = Fault::move_coordinator("billing", next).on(ApiKey::ListGroups);
    broker.faults().add(moved);
    cluster
        .send(&Target::group("billing"), &list())
        .await
        .unwrap();
    cluster.forget_coordinator(&key);
    assert_eq!(cluster.coordinator(&key).await.unwrap().to_wire(), next);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_denied_group_is_told_at_once() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let denied = Fault::error(ErrorCode::GROUP_AUTHORIZATION_FAILED);
    broker.faults().add(denied.on(ApiKey::FindCoordinator));
    let error = cluster
        .coordinator(&CoordinatorKey::group("secret"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GROUP_AUTHORIZATION_FAILED));
    assert!(error.to_string().contains("group secret"), "{error}");
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn each_role_has_a_connection_of_its_own_and_keeps_it() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    broker.journal().clear();
    for _ in 0..3 {
        for role in [Role::Produce, Role::Fetch, Role::Group, Role::Heartbeat] {
            let own = cluster.connection(node, role).await.unwrap();
            own.call(&list()).await.unwrap();
        }
    }
    let asked = broker.journal().requests(ApiKey::ListGroups);
    let connections: HashSet<_> = asked.iter().map(|entry| entry.connection()).collect();
    assert_eq!((asked.len(), connections.len()), (12, 4));
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn callers_that_come_at_once_share_one_dial() {
    let broker = Broker::builder().start().await.unwrap();
    let dials = Arc::new(AtomicUsize::new(0));
    let (counted, dialer) = (dials.clone(), broker.dialer());
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(move |address: Address| {
            counted.fetch_add(1, Ordering::Relaxed);
            dialer(address)
        })
        .connect()
        .await
        .unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    let before = dials.load(Ordering::Relaxed);
    let (a, b, c) = tokio::join!(
        cluster.connection(node, Role::Fetch),
        cluster.connection(node, Role::Fetch),
        cluster.connection(node, Role::Fetch),
    );
    a.and(b).and(c).unwrap();
    assert_eq!(dials.load(Ordering::Relaxed) - before, 1);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn callers_that_come_at_once_share_the_error_of_one_dial() {
    let broker = Broker::builder().start().await.unwrap();
    let dialer = broker.dialer();
    let hangs = Arc::new(AtomicBool::new(false));
    let black_hole = hangs.clone();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(move |address: Address| {
            let (hangs, dialing) = (black_hole.load(Ordering::Relaxed), dialer(address));
            async move {
                if hangs {
                    std::future::pending::<()>().await;
                }
                dialing.await
            }
        })
        .connect()
        .await
        .unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    hangs.store(true, Ordering::Relaxed);
    let started = Instant::now();
    let dials = (0..20).map(|_| cluster.connection(node, Role::Fetch));
    for dialed in futures_util::future::join_all(dials).await {
        assert_eq!(dialed.unwrap_err().kind(), ErrorKind::Timeout);
    }
    // One connect timeout, not twenty in a row.
    assert!(started.elapsed() < 12 * SECOND, "{:?}", started.elapsed());
    hangs.store(false, Ordering::Relaxed);
    cluster.connection(node, Role::Fetch).await.unwrap();
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_coordinator_was_not_found_was_not_written() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker)
        .api_timeout(20 * SECOND)
        .connect()
        .await
        .unwrap();
    let silent = Fault::silence().on(ApiKey::FindCoordinator);
    broker.faults().add(silent.always());
    let sent = cluster.send(&Target::group("billing"), &list()).await;
    let error = sent.unwrap_err();
    assert_eq!(
        error.persistence(),
        Some(Persistence::NotWritten),
        "{error}"
    );
    assert!(broker.journal().requests(ApiKey::ListGroups).is_empty());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn short_requests_use_two_connections_at_most() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    broker.journal().clear();
    let slow = Fault::delay(SECOND).on(ApiKey::ListGroups).times(8);
    broker.faults().add(slow);
    let request = list();
    let target = Target::Node(node);
    let sends = (0..8).map(|_| cluster.send(&target, &request));
    for answer in futures_util::future::join_all(sends).await {
        answer.unwrap();
    }
    let asked = broker.journal().requests(ApiKey::ListGroups);
    let connections: HashSet<_> = asked.iter().map(|entry| entry.connection()).collect();
    assert_eq!((asked.len(), connections.len()), (8, 2));
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_owes_an_answer_is_not_used_again() {
    let broker = Broker::builder().start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    let slow = broker
        .faults()
        .add(Fault::delay(20 * SECOND).on(ApiKey::ListGroups));
    let (request, target) = (list(), Target::Node(node));
    timeout(SECOND, cluster.send(&target, &request))
        .await
        .unwrap_err();
    let started = Instant::now();
    cluster.send(&target, &request).await.unwrap();
    assert!(started.elapsed() < 5 * SECOND);
    assert_eq!(slow.fired(), 1);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn unreachable_addresses_are_named_with_the_reason_of_each() {
    let refuse = |_: Address| async {
        io::Result::<tokio::io::DuplexStream>::Err(io::ErrorKind::ConnectionRefused.into())
    };
    let started = Instant::now();
    let connecting = Cluster::builder(["a:1", "b:2"])
        .connector(refuse)
        .api_timeout(5 * SECOND)
        .connect();
    let error = connecting.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    let text = error.to_string();
    for part in ["a:1: ", "b:2: ", "refused", "bootstrap.servers"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(started.elapsed() <= 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn when_every_known_broker_is_gone_the_bootstrap_addresses_are_asked_again() {
    let broker = Broker::builder().brokers(2).start().await.unwrap();
    let told = Arc::new(Mutex::new(0));
    let noted = told.clone();
    let cluster = on(&broker)
        .add_observer(Arc::new(move |event: &Event<'_>| {
            if let Event::Rebootstrap { .. } = event {
                *noted.lock() += 1;
            }
        }))
        .connect()
        .await
        .unwrap();
    // Both known brokers refuse the request, so the bootstrap addresses are asked again.
    broker
        .faults()
        .add(Fault::disconnect().on(ApiKey::Metadata).times(2));
    cluster.refresh().await.unwrap();
    assert_eq!(*told.lock(), 1);
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_address_map_leads_to_where_brokers_are_reached() {
    let broker = Broker::builder()
        .brokers(2)
        .topic("orders", 2)
        .start()
        .await
        .unwrap();
    let dialer = broker.dialer();
    let cluster = Cluster::builder(broker.bootstrap())
        .address_map(|address| Address::new("tunnel", address.port()))
        .connector({
            let hosts: Vec<_> = broker.addresses();
            move |address: Address| {
                assert_eq!(address.host(), "tunnel");
                let behind = hosts.iter().find(|(_, own)| own.port() == address.port());
                dialer(behind.unwrap().1.clone())
            }
        })
        .connect()
        .await
        .unwrap();
    for known in cluster.metadata().brokers() {
        cluster
            .send(&Target::Node(known.node), &list())
            .await
            .unwrap();
    }
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_down_is_passed_over_and_dialed_with_a_backoff() {
    let broker = Broker::builder().brokers(2).start().await.unwrap();
    let failed = Arc::new(AtomicUsize::new(0));
    let noted = failed.clone();
    let cluster = on(&broker)
        .add_observer(Arc::new(move |event: &Event<'_>| {
            if let Event::ConnectFailed { .. } = event {
                noted.fetch_add(1, Ordering::Relaxed);
            }
        }))
        .connect()
        .await
        .unwrap();
    let down = broker.addresses()[0].0;
    broker
        .faults()
        .add(Fault::broker_down(down).on(ApiKey::Metadata));
    cluster.refresh().await.ok();
    let started = Instant::now();
    for _ in 0..20 {
        cluster.send(&Target::Any, &list()).await.unwrap();
    }
    assert!(started.elapsed() < 2 * SECOND);
    let before = failed.load(Ordering::Relaxed);
    let node = NodeId::from_wire(down).unwrap();
    let trying = async {
        loop {
            let _ = cluster.connection(node, Role::Produce).await;
            tokio::task::yield_now().await;
            if cluster.metadata().broker(node).is_none() {
                sleep(SECOND).await;
            }
        }
    };
    let _: Result<(), _> = timeout(10 * SECOND, trying).await;
    let tried = failed.load(Ordering::Relaxed) - before;
    assert!(tried <= 40, "{tried} dials in ten seconds");
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn closing_ends_every_connection_and_fails_what_waits() {
    let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
    let cluster = on(&broker).connect().await.unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    broker.faults().add(Fault::silence().on(ApiKey::ListGroups));
    let own = cluster.connection(node, Role::Group).await.unwrap();
    let waiting = tokio::spawn({
        let own = own.clone();
        async move { own.call(&list()).await }
    });
    while own.in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let alive = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    cluster.close().await;
    assert!(waiting.await.unwrap().is_err());
    assert!(own.is_closed());
    let left = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert!(left + 3 <= alive, "{left} of {alive} tasks are left");
    for error in [
        cluster.send(&Target::Any, &list()).await.err(),
        cluster.refresh().await.err(),
        cluster.connection(node, Role::Fetch).await.err(),
        cluster.coordinator(&CoordinatorKey::group("g")).await.err(),
        cluster.topic("orders-2").await.err(),
    ] {
        assert_eq!(error.unwrap().kind(), ErrorKind::Closed);
    }
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_is_dropped_leaves_no_task() {
    let broker = Broker::builder().start().await.unwrap();
    let metrics = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = metrics();
    let cluster = on(&broker).connect().await.unwrap();
    cluster
        .send(&Target::Any, &MetadataRequest::default())
        .await
        .unwrap();
    assert!(metrics() > before);
    drop(cluster);
    sleep(SECOND).await;
    assert_eq!(metrics(), before);
}

#[tokio::test(start_paused = true)]
async fn an_unusable_setting_is_refused_by_its_key() {
    let broker = Broker::builder().start().await.unwrap();
    let error = on(&broker)
        .request_timeout(Duration::ZERO)
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("request.timeout.ms"), "{error}");
}
