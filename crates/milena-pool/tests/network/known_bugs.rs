//! Networking bugs of other Kafka clients, each as a test. N14 is also tested with the merge of
//! metadata.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::bed::{Peer, address, framed, scripted};
use milena_broker::{Broker, Fault};
use milena_core::{Address, ErrorKind, Event};
use milena_pool::{
    BoxFuture, Cluster, Connect, Connection, ConnectionOptions, Role, Target, TcpConnect,
};
use milena_protocol::ApiKey;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::BrokerId;
use milena_protocol::messages::metadata_response::MetadataResponseBroker;
use milena_protocol::messages::{
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, ListGroupsRequest, MetadataRequest,
    MetadataResponse,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn n1_a_peer_that_accepts_and_stays_silent_ends_in_a_timeout() {
    let peer = scripted(|mut peer: Peer, _| async move { while peer.read().await.is_some() {} });
    let started = Instant::now();
    let options = ConnectionOptions::default();
    let error = Connection::open(&peer, &address(), None, &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("broker-1:9092"), "{error}");
    assert!(started.elapsed() <= 11 * SECOND);

    let connecting = Cluster::builder(["broker-1:9092"])
        .connector(peer)
        .connect();
    let error = connecting.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("broker-1:9092"), "{error}");
    assert!(started.elapsed() <= 72 * SECOND);
}

#[tokio::test]
async fn n2_a_name_is_resolved_at_each_dial_and_a_dead_address_is_passed_over() {
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_at = dead.local_addr().unwrap();
    drop(dead);
    let live = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let live_at = live.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let connect = TcpConnect::new().resolver(
        move |_| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            let found = match counted.fetch_add(1, Ordering::Relaxed) {
                0 => vec![dead_at],
                _ => vec![dead_at, live_at],
            };
            Box::pin(async move { Ok(found) })
        },
    );
    let error = connect.dial(&address()).await.err().unwrap();
    assert!(error.to_string().contains(&dead_at.to_string()), "{error}");
    connect.dial(&address()).await.unwrap();
    live.accept().await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn n4_a_hostile_version_hint_does_not_loop() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let peer = scripted(move |mut peer: Peer, _| {
        let counted = counted.clone();
        async move {
            while let Some((header, _)) = peer.read().await {
                counted.fetch_add(1, Ordering::Relaxed);
                // UNSUPPORTED_VERSION in the layout of version 0, with a hint at least as high as
                // the version sent.
                let hint = [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 99];
                peer.answer_raw(&header, &hint).await;
            }
        }
    });
    let options = ConnectionOptions::default();
    let error = Connection::open(&peer, &address(), None, &options)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("UNSUPPORTED_VERSION"), "{error}");
    assert!(asked.load(Ordering::Relaxed) <= 5);
}

#[tokio::test(start_paused = true)]
async fn n5_a_swallowed_request_ends_its_connection_and_the_next_one_works() {
    let broker = Broker::builder().start().await.unwrap();
    let swallowed = broker.faults().add(Fault::silence().on(ApiKey::ListGroups));
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .request_timeout(5 * SECOND)
        .connect()
        .await
        .unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    let connection = cluster.connection(node, Role::Group).await.unwrap();
    let started = Instant::now();
    let request = ListGroupsRequest::default();
    let (silent, behind) = tokio::join!(connection.call(&request), connection.call(&request));
    assert_eq!(silent.unwrap_err().kind(), ErrorKind::Timeout);
    behind.unwrap_err();
    assert!(started.elapsed() <= 2 * 5 * SECOND);
    assert!(connection.is_closed());
    assert_eq!(swallowed.fired(), 1);
    let connection = cluster.connection(node, Role::Group).await.unwrap();
    connection.call(&request).await.unwrap();
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn n8_unknown_tags_of_any_size_are_skipped() {
    for size in [0_usize, 1, 2, 127, 128, 129, 300, 16_383, 16_384] {
        let peer = scripted(move |mut peer: Peer, _| async move {
            peer.greet().await;
            let (header, _) = peer.read().await.unwrap();
            assert!(
                header
                    .api()
                    .unwrap()
                    .has_flexible_answer_header(header.version)
            );
            let mut tags = vec![1, 99];
            let mut left = size;
            while left >= 0x80 {
                tags.push((left & 0x7f) as u8 | 0x80);
                left >>= 7;
            }
            tags.push(left as u8);
            tags.resize(tags.len() + size, 0xee);
            let mut frame = header.correlation_id.to_be_bytes().to_vec();
            frame.extend_from_slice(&tags);
            frame.extend_from_slice(&[0, 0, 0, 0, 0, 0]); // throttle, error
            frame.extend_from_slice(&tags);
            peer.write(&framed(&frame)).await;
            peer.read().await;
        });
        let connection = open(&peer).await;
        let answer = connection.call(&HeartbeatRequest::default()).await.unwrap();
        assert_eq!(answer.error_code, 0, "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn n8_a_tag_longer_than_the_answer_is_an_error() {
    for tag in [
        &[1, 99, 200, 1][..],
        &[0xff; 5],
        &[1, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let peer = scripted(move |mut peer: Peer, _| async move {
            peer.greet().await;
            let (header, _) = peer.read().await.unwrap();
            let mut frame = header.correlation_id.to_be_bytes().to_vec();
            frame.extend_from_slice(tag);
            peer.write(&framed(&frame)).await;
            peer.read().await;
        });
        let connection = open(&peer).await;
        let error = connection
            .call(&HeartbeatRequest::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
    }
}

#[tokio::test(start_paused = true)]
async fn n9_malformed_answers_are_errors_and_the_connection_stays_in_step() {
    let bodies: Vec<Vec<u8>> = vec![
        vec![],
        vec![0xff; 3],
        vec![0xff; 64],
        vec![0x7f; 64],
        vec![0x80; 64],
        (0..64).collect(),
        [&[0; 4][..], &[0xff, 0xff, 0xff, 0xff, 0x07], &[0; 9]].concat(),
    ];
    let count = bodies.len();
    let peer = scripted(move |mut peer: Peer, _| {
        let bodies = bodies.clone();
        async move {
            peer.greet().await;
            for body in bodies.iter().cycle() {
                let Some((header, _)) = peer.read().await else {
                    return;
                };
                peer.answer_raw(&header, body).await;
            }
        }
    });
    let connection = open(&peer).await;
    for _ in 0..count {
        // Bytes that decode by chance are no fault. Bytes that do not decode are an error, never a
        // panic.
        for error in [
            connection.call(&MetadataRequest::default()).await.err(),
            connection.call(&JoinGroupRequest::default()).await.err(),
            connection
                .call(&FindCoordinatorRequest::default())
                .await
                .err(),
            connection.call(&HeartbeatRequest::default()).await.err(),
        ]
        .into_iter()
        .flatten()
        {
            assert_eq!(error.kind(), ErrorKind::Decode, "{error}");
        }
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn n10_idle_ends_are_no_failures_and_nothing_starts_over() {
    let broker = Broker::builder().brokers(2).start().await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = told.clone();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .connections_max_idle(2 * SECOND)
        .add_observer(Arc::new(move |event: &Event<'_>| match event {
            Event::Rebootstrap { .. } | Event::ConnectFailed { .. } => {
                noted.lock().push(format!("{event:?}"));
            }
            Event::Disconnected { error: Some(_), .. } => noted.lock().push(format!("{event:?}")),
            _ => {}
        }))
        .connect()
        .await
        .unwrap();
    for _ in 0..5 {
        cluster
            .send(&Target::Any, &ListGroupsRequest::default())
            .await
            .unwrap();
        cluster.refresh().await.unwrap();
        sleep(10 * SECOND).await;
    }
    assert!(told.lock().is_empty(), "{:?}", told.lock());
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn n10_while_all_brokers_are_down_the_dials_stay_few_and_the_client_comes_back() {
    let broker = Broker::builder().start().await.unwrap();
    let dials = Arc::new(AtomicUsize::new(0));
    let up = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (counted, open, dialer) = (dials.clone(), up.clone(), broker.dialer());
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(move |address: Address| {
            counted.fetch_add(1, Ordering::Relaxed);
            let refused = !open.load(Ordering::Relaxed);
            let dialing = dialer(address);
            async move {
                if refused {
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                dialing.await
            }
        })
        .connections_max_idle(SECOND)
        .connect()
        .await
        .unwrap();
    up.store(false, Ordering::Relaxed);
    sleep(2 * SECOND).await;
    let before = dials.load(Ordering::Relaxed);
    cluster.refresh().await.unwrap_err();
    cluster.request_refresh();
    sleep(60 * SECOND).await;
    let tried = dials.load(Ordering::Relaxed) - before;
    assert!(tried < 200, "{tried} dials in a minute");
    up.store(true, Ordering::Relaxed);
    cluster
        .send(&Target::Any, &ListGroupsRequest::default())
        .await
        .unwrap();
    cluster.close().await;
}

#[tokio::test(start_paused = true)]
async fn n11_closing_one_handle_leaves_another_alone() {
    let broker = Broker::builder().start().await.unwrap();
    let dialer = broker.dialer();
    let connect = || {
        Cluster::builder(broker.bootstrap())
            .connector(dialer.clone())
            .connect()
    };
    let (first, second) = (connect().await.unwrap(), connect().await.unwrap());
    let node = second.metadata().brokers().next().unwrap().node;
    let held = second.connection(node, Role::Fetch).await.unwrap();
    first.close().await;
    let request = ListGroupsRequest::default();
    held.call(&request).await.unwrap();
    second.send(&Target::Any, &request).await.unwrap();
    let error = first.send(&Target::Any, &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    second.close().await;
}

#[tokio::test(start_paused = true)]
async fn n14_an_advertised_ipv6_literal_is_dialed_as_one() {
    let dialed = Arc::new(Mutex::new(HashSet::new()));
    let noted = dialed.clone();
    let connector = move |address: Address| {
        noted.lock().insert(address.to_string());
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut peer = Peer { stream: far };
            peer.greet().await;
            while let Some((header, _)) = peer.read().await {
                let broker = MetadataResponseBroker::default()
                    .with_node_id(BrokerId(1))
                    .with_host(StrBytes::from_static_str("::1"))
                    .with_port(9_093);
                let answer = MetadataResponse::default().with_brokers(vec![broker]);
                peer.answer::<MetadataRequest>(&header, &answer).await;
            }
        });
        async move { io::Result::Ok(near) }
    };
    let cluster = Cluster::builder(["[::1]:9092"])
        .connector(connector)
        .connect()
        .await
        .unwrap();
    cluster.refresh().await.unwrap();
    let mut seen: Vec<_> = dialed.lock().iter().cloned().collect();
    seen.sort();
    assert_eq!(seen, ["[::1]:9092", "[::1]:9093"]);
    cluster.close().await;
}

async fn open(connector: &dyn Connect) -> Connection {
    Connection::open(connector, &address(), None, &ConnectionOptions::default())
        .await
        .unwrap()
}
