//! A cluster, whose brokers go down and come back, with elections, shutdown and TCP.

use std::time::Duration;

use crate::bed::{Client, batch, brokers, code, listening, text, topic};
use milena_broker::{Broker, ErrorCode};
use milena_core::ErrorKind;
use milena_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DescribeTopicPartitionsRequest,
    FindCoordinatorRequest, create_topics_request, describe_topic_partitions_request,
};

#[tokio::test(start_paused = true)]
async fn leaders_are_spread_over_the_brokers() {
    let broker = brokers(3, "orders", 6).await;
    let mut led = [0; 4];
    for partition in 0..6 {
        led[broker.inspect().leader("orders", partition).unwrap().0 as usize] += 1;
    }
    assert_eq!(led, [0, 2, 2, 2]);
    assert_eq!(broker.inspect().controller(), 1);
}

#[tokio::test(start_paused = true)]
async fn another_replica_leads_while_a_broker_is_down() {
    let broker = brokers(3, "orders", 1).await;
    let (leader, epoch) = broker.inspect().leader("orders", 0).unwrap();
    let mut client = Client::to(&broker, leader).await;
    client.produce("orders", 0, batch(2, None)).await;
    broker.inspect().broker_down(leader);
    assert!(client.frame().await.is_none(), "its connections end");
    let (_, address) = broker.addresses()[leader as usize - 1].clone();
    let refused = broker.dialer()(address.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let (next, next_epoch) = broker.inspect().leader("orders", 0).unwrap();
    assert!(next != leader && next_epoch == epoch + 1);
    let mut client = Client::to(&broker, next).await;
    assert_eq!(
        client
            .produce("orders", 0, batch(1, None))
            .await
            .base_offset,
        2
    );
    let metadata = client.metadata().await;
    assert_eq!(metadata.brokers.len(), 2);
    assert_eq!(
        metadata.topics[0].partitions[0].offline_replicas[0].0,
        leader
    );
    broker.inspect().broker_up(leader);
    broker.dialer()(address).await.unwrap();
    assert_eq!(
        broker.inspect().leader("orders", 0),
        Some((next, next_epoch))
    );
}

#[tokio::test(start_paused = true)]
async fn a_strict_cluster_takes_its_time_as_a_real_one_does() {
    let broker = Broker::builder().strict().start().await.unwrap();
    let mut client = Client::to(&broker, 1).await;
    let find = FindCoordinatorRequest::default().with_key(text("billing"));
    let first = client.call(&find, 3).await.error_code;
    assert_eq!(code(first), Some(ErrorCode::COORDINATOR_NOT_AVAILABLE));
    let wish = create_topics_request::CreatableTopic::default()
        .with_name(topic("orders"))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let create = CreateTopicsRequest::default()
        .with_topics(vec![wish])
        .with_timeout_ms(10_000);
    assert_eq!(client.call(&create, 5).await.topics[0].error_code, 0);
    let early = client.fetch("orders", 0, 0).await.error_code;
    assert_eq!(code(early), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    tokio::time::advance(std::time::Duration::from_millis(100)).await;
    assert_eq!(client.fetch("orders", 0, 0).await.error_code, 0);
    assert_eq!(client.call(&find, 3).await.error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_living_replica_has_no_leader_until_it_is_back() {
    let broker = Broker::builder()
        .brokers(2)
        .replication_factor(1)
        .topic("orders", 2)
        .start()
        .await
        .unwrap();
    broker.inspect().broker_down(1);
    let mut client = Client::to(&broker, 2).await;
    let metadata = client.metadata().await;
    let lost = metadata.topics[0]
        .partitions
        .iter()
        .find(|partition| partition.leader_id.0 == -1)
        .unwrap();
    assert_eq!(code(lost.error_code), Some(ErrorCode::LEADER_NOT_AVAILABLE));
    broker.inspect().broker_up(1);
    assert_eq!(
        broker
            .inspect()
            .leader("orders", lost.partition_index as u32),
        Some((1, 2))
    );
}

#[tokio::test]
async fn shutdown_ends_connections_and_listeners() {
    let broker = Broker::builder()
        .brokers(2)
        .topic("orders", 1)
        .listen("127.0.0.1:0")
        .start()
        .await
        .unwrap();
    let bootstrap = broker.bootstrap();
    let mut open = tokio::net::TcpStream::connect(&bootstrap[0]).await.unwrap();
    let mut in_memory = Client::to(&broker, 1).await;
    tokio::time::timeout(Duration::from_secs(10), broker.shutdown())
        .await
        .unwrap();
    assert!(in_memory.frame().await.is_none());
    let mut byte = [0];
    assert_eq!(
        tokio::io::AsyncReadExt::read(&mut open, &mut byte)
            .await
            .unwrap_or(0),
        0
    );
    assert!(tokio::net::TcpStream::connect(&bootstrap[0]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_description_has_no_more_partitions_than_its_limit_and_says_where_to_go_on() {
    let broker = Broker::builder()
        .topic("a", 1)
        .topic("b", 2)
        .topic("c", 1)
        .start()
        .await
        .unwrap();
    let mut client = Client::to(&broker, 1).await;
    for (limit, pages) in [
        (1, [&["a0"][..], &["b0"], &["b1"], &["c0"]].to_vec()),
        (2, [&["a0", "b0"][..], &["b1", "c0"]].to_vec()),
        (3, [&["a0", "b0", "b1"][..], &["c0"]].to_vec()),
        (4, [&["a0", "b0", "b1", "c0"][..]].to_vec()),
    ] {
        let mut cursor = None;
        let mut seen = Vec::new();
        // One more than the pages that are due, so that a cursor that stays ends the test too.
        for _ in 0..=pages.len() {
            let asked = DescribeTopicPartitionsRequest::default()
                .with_response_partition_limit(limit)
                .with_cursor(cursor.take());
            let answer = client.call(&asked, 0).await;
            let page = answer.topics.iter().flat_map(|each| {
                let name = each.name.clone().unwrap();
                let partitions = each.partitions.iter();
                partitions.map(move |each| format!("{}{}", name.as_str(), each.partition_index))
            });
            seen.push(page.collect::<Vec<_>>());
            let Some(next) = answer.next_cursor else {
                break;
            };
            cursor = Some(
                describe_topic_partitions_request::Cursor::default()
                    .with_topic_name(next.topic_name)
                    .with_partition_index(next.partition_index),
            );
        }
        assert_eq!(seen, pages, "at most {limit}");
    }
}

/// Waits until nothing listens at the address.
async fn gone(address: &str) {
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    let limit = Duration::from_secs(10);
    tokio::time::timeout(limit, refused).await.unwrap();
}

#[tokio::test]
async fn a_broker_comes_back_at_its_tcp_address() {
    let broker = listening().await;
    let address = broker.bootstrap().remove(0);
    broker.inspect().broker_down(1);
    gone(&address).await;
    broker.inspect().broker_up(1);
    tokio::net::TcpStream::connect(&address).await.unwrap();
}

#[tokio::test]
async fn a_broker_whose_connections_are_cut_accepts_new_ones_over_tcp() {
    let broker = listening().await;
    let address = broker.bootstrap().remove(0);
    let limit = Duration::from_secs(10);
    let served = async || {
        let mut client = Client::tcp(&address).await;
        client
            .try_call(&ApiVersionsRequest::default(), 0)
            .await
            .is_some()
    };
    let mut old = Client::tcp(&address).await;
    old.call(&ApiVersionsRequest::default(), 0).await;
    for _ in 0..2 {
        broker.inspect().cut_connections(1);
        assert!(tokio::time::timeout(limit, served()).await.unwrap());
    }
    let closed = tokio::time::timeout(limit, old.frame());
    assert!(closed.await.unwrap().is_none());
    // The listener still ends with the broker.
    broker.inspect().broker_down(1);
    gone(&address).await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_the_start() {
    let named = Broker::builder()
        .topic("no spaces", 1)
        .start()
        .await
        .unwrap_err();
    assert_eq!(named.kind(), ErrorKind::Config);
    let none = Broker::builder().brokers(0).start().await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Config);
    let config = Broker::builder()
        .topic_with("orders", 1, [("no.such", "1")])
        .start()
        .await
        .unwrap_err();
    assert!(config.to_string().contains("orders"), "{config}");
    let first = listening().await;
    let taken = Broker::builder()
        .listen(first.bootstrap().remove(0))
        .start()
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Transport);
}
