//! One connection against a scripted peer: order, deadlines, throttling, and its end.

use std::sync::Arc;
use std::time::Duration;

use crate::bed::{Peer, address, scripted};
use bytes::Bytes;
use milena_core::{ErrorKind, Event, NodeId, Observers, Persistence};
use milena_pool::{Connect, Connection, ConnectionOptions};
use milena_protocol::ApiKey;
use milena_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn open(connector: &dyn Connect) -> Connection {
    open_with(connector, &ConnectionOptions::default()).await
}

async fn open_with(connector: &dyn Connect, options: &ConnectionOptions) -> Connection {
    let node = NodeId::from_wire(1);
    Connection::open(connector, &address(), node, options)
        .await
        .unwrap()
}

/// Splits a body of `len` bytes into three pieces.
fn body(len: usize) -> Vec<Bytes> {
    let whole = Bytes::from(vec![7; len]);
    vec![
        whole.slice(..len / 3),
        whole.slice(len / 3..len / 2),
        whole.slice(len / 2..),
    ]
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_keep_their_order_and_get_their_own_answers() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        let mut requests = Vec::new();
        for _ in 0..20 {
            requests.push(peer.read().await.unwrap());
        }
        for (header, body) in requests {
            peer.answer_raw(&header, &body).await;
        }
    });
    let connection = open(&peer).await;
    // All requests are queued before the first future is polled.
    let answers: Vec<_> = (0..20)
        .map(|n| connection.send_raw(ApiKey::Produce, 9, body(3_000 * n), SECOND))
        .collect();
    assert_eq!(connection.in_flight(), 20);
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().len(), 3_000 * n);
    }
    assert_eq!(connection.in_flight(), 0);
    assert!(connection.srtt().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_ends_the_connection_and_tells_what_may_have_been_written() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        peer.read().await.unwrap();
        // The peer reads a part of the second request, then nothing more.
        let _ = peer.stream.read_u32().await;
        std::future::pending::<()>().await;
    });
    let connection = open(&peer).await;
    let first = connection.send_raw(ApiKey::Produce, 9, body(100), SECOND);
    let large = connection.send_raw(ApiKey::Produce, 9, body(1 << 20), 60 * SECOND);
    let behind = connection.send_raw(ApiKey::Produce, 9, body(10), 60 * SECOND);
    let started = Instant::now();
    let error = first.await.unwrap_err();
    assert!(started.elapsed() < 2 * SECOND);
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
    assert!(error.to_string().contains("broker-1:9092"), "{error}");
    let error = large.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
    let error = behind.await.unwrap_err();
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    connection.closed().await;
    let error = connection
        .send_raw(ApiKey::Produce, 9, body(10), SECOND)
        .await;
    assert_eq!(
        error.unwrap_err().persistence(),
        Some(Persistence::NotWritten)
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_or_unasked_answer_ends_the_connection() {
    for unasked in [false, true] {
        let peer = scripted(move |mut peer: Peer, _| async move {
            peer.greet().await;
            let (mut header, _) = peer.read().await.unwrap();
            if unasked {
                peer.answer_raw(&header, &[0; 20]).await;
            }
            header.correlation_id += 1;
            peer.answer_raw(&header, &[0; 20]).await;
            std::future::pending::<()>().await;
        });
        let connection = open(&peer).await;
        let answer = connection.send_raw(ApiKey::ListGroups, 4, body(5), SECOND);
        match answer.await {
            Ok(_) => assert!(unasked),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Decode);
                assert!(error.to_string().contains("correlation id"), "{error}");
            }
        }
        connection.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_to_another_request_is_refused() {
    let peer = scripted(|mut peer: Peer, _| async move {
        let (mut header, _) = peer.read().await.unwrap();
        header.correlation_id += 1;
        peer.answer_raw(&header, &[0; 20]).await;
        peer.read().await;
    });
    let options = ConnectionOptions::default();
    let refused = Connection::open(&peer, &address(), None, &options).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("correlation id"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_leaves_the_connection_in_step() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        peer.serve_empty::<ListGroupsRequest>().await;
    });
    let connection = open(&peer).await;
    drop(connection.send_raw(ApiKey::ListGroups, 2, vec![Bytes::new()], SECOND));
    connection
        .call(&ListGroupsRequest::default())
        .await
        .unwrap();
    assert_eq!(connection.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_its_own_large_answer_arrive_and_no_other() {
    const LARGE: usize = 700_000;
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        while let Some((header, body)) = peer.read().await {
            peer.answer_raw(&header, &body).await;
        }
    });
    let connection = open(&peer).await;
    let watched = |len: usize| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&seen);
        let watch = Box::new(move |body: &[u8]| {
            assert!(body.iter().all(|byte| *byte == 7), "the body alone");
            notes.lock().push(body.len());
        });
        // Produce answers of this version have tags in their header.
        let answer = connection.send_watched(ApiKey::Produce, 9, body(len), 60 * SECOND, watch);
        (answer, seen)
    };
    let (small, of_small) = watched(100);
    let unwatched = connection.send_raw(ApiKey::Produce, 9, body(LARGE), 60 * SECOND);
    let (large, of_large) = watched(LARGE);
    assert_eq!(small.await.unwrap().len(), 100);
    assert_eq!(unwatched.await.unwrap().len(), LARGE);
    assert_eq!(large.await.unwrap().len(), LARGE);
    assert!(of_small.lock().is_empty());
    let seen = of_large.lock();
    assert!(seen.len() > 2 && seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&LARGE));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_done_once_it_is_written() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        peer.read().await.unwrap();
        peer.serve_empty::<ListGroupsRequest>().await;
    });
    let connection = open(&peer).await;
    let unanswered = connection.send_unanswered(ApiKey::Produce, 9, body(300), SECOND);
    let call = connection.call(&ListGroupsRequest::default()).await;
    assert!(unanswered.await.unwrap().is_empty());
    call.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_throttled_connection_is_mute_and_nothing_times_out_for_it() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        let mut wait = 5_000;
        while let Some((header, _)) = peer.read().await {
            let answer = ListGroupsResponse::default().with_throttle_time_ms(wait);
            peer.answer::<ListGroupsRequest>(&header, &answer).await;
            wait = 0;
        }
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let options = ConnectionOptions {
        observers: Observers::none().with(Arc::new({
            let told = told.clone();
            move |event: &Event<'_>| {
                if let Event::Throttled { wait, .. } = event {
                    told.lock().push(*wait);
                }
            }
        })),
        ..ConnectionOptions::default()
    };
    let connection = open_with(&peer, &options).await;
    let request = ListGroupsRequest::default();
    connection.call(&request).await.unwrap();
    assert!(connection.throttled_until().is_some());
    let started = Instant::now();
    // The limit is shorter than the wait, but it does not run while the connection is muted.
    connection.call_with(&request, SECOND).await.unwrap();
    assert!(started.elapsed() >= 5 * SECOND);
    assert_eq!(connection.throttled_until(), None);
    assert_eq!(*told.lock(), [5 * SECOND]);
}

/// Answers the first request at once, with a wait of `throttle` ms. Answers the later requests once
/// the wait is over.
async fn throttles_first(mut peer: Peer, throttle: i32) {
    peer.greet().await;
    let (first, _) = peer.read().await.unwrap();
    let answer = ListGroupsResponse::default().with_throttle_time_ms(throttle);
    peer.answer::<ListGroupsRequest>(&first, &answer).await;
    sleep(Duration::from_millis(u64::try_from(throttle).unwrap())).await;
    peer.serve_empty::<ListGroupsRequest>().await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_were_written_wait_out_a_throttle_too() {
    let peer = scripted(|peer: Peer, _| throttles_first(peer, 60_000));
    let connection = open(&peer).await;
    let request = ListGroupsRequest::default();
    // All three are written before the first answer says that the broker reads nothing for a
    // minute.
    let calls = (0..3).map(|_| connection.call(&request));
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap();
    }
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_the_caller_tells_moves_the_deadlines_of_what_was_written() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        let (header, _) = peer.read().await.unwrap();
        sleep(80 * SECOND).await;
        let answer = ListGroupsResponse::default();
        peer.answer::<ListGroupsRequest>(&header, &answer).await;
        std::future::pending::<()>().await;
    });
    let connection = open(&peer).await;
    let request = ListGroupsRequest::default();
    let throttled = async {
        sleep(SECOND).await;
        connection.throttle(ApiKey::Produce, 60 * SECOND);
    };
    let (answer, ()) = tokio::join!(connection.call(&request), throttled);
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_mute_connection_that_was_let_go_sends_what_it_was_given() {
    let peer = scripted(|peer: Peer, _| throttles_first(peer, 5_000));
    let connection = open(&peer).await;
    let request = ListGroupsRequest::default();
    connection.call(&request).await.unwrap();
    assert!(connection.throttled_until().is_some());
    let waiting = connection.send_raw(ApiKey::ListGroups, 2, body(4), 5 * SECOND);
    drop(connection);
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_by_this_side() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        peer.serve_empty::<ListGroupsRequest>().await;
    });
    let connection = open(&peer).await;
    sleep(500 * SECOND).await;
    connection
        .call(&ListGroupsRequest::default())
        .await
        .unwrap();
    sleep(500 * SECOND).await;
    assert!(!connection.is_closed());
    connection.closed().await;
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_let_go_answers_what_it_owes_first() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        let (header, _) = peer.read().await.unwrap();
        sleep(SECOND).await;
        peer.answer_raw(&header, &[1]).await;
        assert!(peer.read().await.is_none());
    });
    let connection = open(&peer).await;
    let answer = connection.send_raw(ApiKey::ListGroups, 2, body(4), 5 * SECOND);
    drop(connection);
    assert_eq!(answer.await.unwrap(), Bytes::from_static(&[1]));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_owes_nobody_an_answer_ends_when_it_is_let_go() {
    let (told, mut ended) = tokio::sync::mpsc::channel(1);
    let peer = scripted(move |mut peer: Peer, _| {
        let told = told.clone();
        async move {
            peer.greet().await;
            peer.read().await.unwrap();
            assert!(peer.read().await.is_none());
            told.send(()).await.unwrap();
        }
    });
    let connection = open(&peer).await;
    let answer = connection.send_raw(ApiKey::ListGroups, 2, body(4), 500 * SECOND);
    drop(answer);
    let started = Instant::now();
    drop(connection);
    ended.recv().await.unwrap();
    assert!(started.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_peer_of_another_protocol_is_named() {
    for (words, name) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (&[0x15, 3, 3, 0, 2, 2, 40][..], "TLS"),
    ] {
        let peer = scripted(move |mut peer: Peer, _| async move {
            peer.read().await;
            peer.write(words).await;
            std::future::pending::<()>().await;
        });
        let options = ConnectionOptions::default();
        let refused = Connection::open(&peer, &address(), None, &options).await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode);
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains("broker-1:9092"),
            "{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_the_cap_is_refused() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        peer.read().await.unwrap();
        peer.write(&[0, 0x7f, 0xff, 0xff, 0]).await;
        std::future::pending::<()>().await;
    });
    let options = ConnectionOptions {
        max_frame: 1 << 20,
        ..ConnectionOptions::default()
    };
    let connection = open_with(&peer, &options).await;
    let error = connection
        .call(&ListGroupsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.place().setting.as_deref(), Some("max_frame"));
    for part in ["8388607", "1048576", "fetch.max.bytes", "broker-1:9092"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn unanswered_requests_are_bounded() {
    let peer = scripted(|mut peer: Peer, _| async move {
        peer.greet().await;
        while peer.read().await.is_some() {}
    });
    let options = ConnectionOptions {
        max_in_flight: 2,
        ..ConnectionOptions::default()
    };
    let connection = open_with(&peer, &options).await;
    let _first = connection.send_raw(ApiKey::ListGroups, 2, body(4), SECOND);
    let _second = connection.send_raw(ApiKey::ListGroups, 2, body(4), SECOND);
    let third = connection
        .send_raw(ApiKey::ListGroups, 2, body(4), SECOND)
        .await;
    let error = third.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
}
