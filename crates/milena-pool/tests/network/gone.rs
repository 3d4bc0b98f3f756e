//! Connections whose task is gone. They take no more requests, and answer the queued ones at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use crate::bed::{Peer, address, scripted};
use bytes::Bytes;
use milena_broker::{Broker, Fault};
use milena_core::{Event, Persistence, TopicPartition};
use milena_pool::{Cluster, Connection, ConnectionOptions, Role, Target};
use milena_protocol::ApiKey;
use milena_protocol::messages::{ListGroupsRequest, MetadataRequest};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// The limit for results that must come at once. Only a failing test waits that long.
const HANGS: Duration = Duration::from_secs(20);

fn list() -> ListGroupsRequest {
    ListGroupsRequest::default()
}

/// Creates a broker on its own runtime, and a cluster handle that was created and used on a runtime
/// that has ended.
fn orphaned() -> (Runtime, Broker, Cluster) {
    let keep = Runtime::new().unwrap();
    let broker = Broker::builder().listen("127.0.0.1:0").topic("orders", 1);
    let broker = keep.block_on(broker.start()).unwrap();
    let first = Runtime::new().unwrap();
    let cluster = first.block_on(async {
        let cluster = Cluster::builder(broker.bootstrap()).connect().await;
        let cluster = cluster.unwrap();
        cluster.send(&Target::Any, &list()).await.unwrap();
        let node = cluster.metadata().brokers().next().unwrap().node;
        let held = cluster.connection(node, Role::Fetch).await.unwrap();
        held.call(&list()).await.unwrap();
        cluster
    });
    drop(first);
    (keep, broker, cluster)
}

#[test]
fn a_cluster_whose_runtime_ended_serves_on_another_at_once() {
    let (_keep, broker, cluster) = orphaned();
    let second = Runtime::new().unwrap();
    second.block_on(async {
        let work = async {
            let node = cluster.metadata().brokers().next().unwrap().node;
            cluster.send(&Target::Any, &list()).await.unwrap();
            let fetch = cluster.connection(node, Role::Fetch).await.unwrap();
            fetch.call(&list()).await.unwrap();
            cluster.refresh().await.unwrap();
            let place = TopicPartition::new("orders", 0);
            cluster.topic("orders").await.unwrap();
            let leader = Target::Leader(place);
            cluster.send(&leader, &list()).await.unwrap();
            cluster.close().await;
        };
        timeout(HANGS, work).await.unwrap();
    });
    drop(broker);
}

#[test]
fn signs_of_life_go_on_after_their_runtime_ended() {
    let keep = Runtime::new().unwrap();
    let broker = Broker::builder().listen("127.0.0.1:0");
    let broker = keep.block_on(broker.start()).unwrap();
    let first = Runtime::new().unwrap();
    let cluster = first.block_on(async {
        let cluster = Cluster::builder(broker.bootstrap()).connect().await;
        let cluster = cluster.unwrap();
        cluster.keep_probing(Duration::from_millis(100));
        cluster
    });
    drop(first);
    let second = Runtime::new().unwrap();
    second.block_on(async {
        cluster.send(&Target::Any, &list()).await.unwrap();
        broker.journal().clear();
        let nothing = |entry: &milena_broker::Entry| match entry.message() {
            Some(milena_protocol::any::AnyRequest::Metadata(asked)) => {
                asked.topics.as_ref().is_some_and(Vec::is_empty)
            }
            _ => false,
        };
        timeout(HANGS, broker.journal().wait_for(nothing))
            .await
            .unwrap();
        cluster.close().await;
    });
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_connections_task_fails_what_it_held() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        let (header, _) = peer.read().await.unwrap();
        peer.read().await.unwrap();
        peer.answer_raw(&header, &[7; 100_000]).await;
        std::future::pending::<()>().await;
    });
    let told = Arc::new(AtomicIsize::new(0));
    let mut options = ConnectionOptions::default();
    let noted = told.clone();
    options.observers = options
        .observers
        .with(Arc::new(move |event: &Event<'_>| match event {
            Event::Connected { .. } => _ = noted.fetch_add(1, Ordering::Relaxed),
            Event::Disconnected { error, .. } => {
                assert!(error.is_some());
                noted.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }));
    let connection = Connection::open(&peer, &address(), None, &options)
        .await
        .unwrap();
    let body = || vec![Bytes::from_static(&[1; 4])];
    let day = Duration::from_secs(86_400);
    let watch = Box::new(|_: &[u8]| panic!("a watcher panics"));
    let watched = connection.send_watched(ApiKey::ListGroups, 2, body(), day, watch);
    let behind = connection.send_raw(ApiKey::ListGroups, 2, body(), day);
    for held in [watched, behind] {
        let error = timeout(HANGS, held).await.unwrap().unwrap_err();
        assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
        assert!(error.is_retriable(), "{error}");
    }
    assert!(connection.is_closed());
    let late = connection.send_raw(ApiKey::ListGroups, 2, body(), day);
    let error = timeout(HANGS, late).await.unwrap().unwrap_err();
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    timeout(HANGS, connection.closed()).await.unwrap();
    assert_eq!(told.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_leaves_no_connection_that_takes_requests_and_answers_none() {
    let broker = Broker::builder().start().await.unwrap();
    let panics = Arc::new(AtomicBool::new(true));
    let armed = panics.clone();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .add_observer(Arc::new(move |event: &Event<'_>| {
            if let Event::Request {
                api: "ListGroups", ..
            } = event
                && armed.swap(false, Ordering::Relaxed)
            {
                panic!("an observer panics");
            }
        }))
        .connect()
        .await
        .unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    let first = cluster.connection(node, Role::Fetch).await.unwrap();
    // The panic may or may not fail this request. The call must not hang.
    let _ = timeout(HANGS, first.call(&list())).await.unwrap();
    assert!(!panics.load(Ordering::Relaxed));
    let next = cluster.connection(node, Role::Fetch).await.unwrap();
    timeout(HANGS, next.call(&list())).await.unwrap().unwrap();
    cluster.close().await;
}

async fn is_pending_after_one_poll<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_close_that_was_cut_off_ends_every_connection() {
    let broker = Broker::builder().start().await.unwrap();
    let open = Arc::new(AtomicIsize::new(0));
    let (noted, ever) = (open.clone(), Arc::new(AtomicUsize::new(0)));
    let made = ever.clone();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .add_observer(Arc::new(move |event: &Event<'_>| match event {
            Event::Connected { .. } => {
                made.fetch_add(1, Ordering::Relaxed);
                noted.fetch_add(1, Ordering::Relaxed);
            }
            Event::Disconnected { .. } => _ = noted.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }))
        .connect()
        .await
        .unwrap();
    let node = cluster.metadata().brokers().next().unwrap().node;
    broker.faults().add(Fault::silence().on(ApiKey::ListGroups));
    let own = cluster.connection(node, Role::Group).await.unwrap();
    let request = list();
    let mut waiting = pin!(own.call_with(&request, Duration::from_secs(86_400)));
    is_pending_after_one_poll(waiting.as_mut()).await;
    is_pending_after_one_poll(pin!(cluster.close())).await;
    timeout(HANGS, waiting).await.unwrap().unwrap_err();
    assert!(own.is_closed());
    timeout(HANGS, own.call(&request))
        .await
        .unwrap()
        .unwrap_err();
    let waited = timeout(HANGS, cluster.refresh()).await.unwrap();
    assert!(waited.is_err());
    cluster.close().await;
    tokio::task::yield_now().await;
    assert!(ever.load(Ordering::Relaxed) > 1);
    assert_eq!(
        open.load(Ordering::Relaxed),
        0,
        "connections that never ended"
    );
    let error = cluster
        .send(&Target::Any, &MetadataRequest::default())
        .await;
    error.unwrap_err();
}
