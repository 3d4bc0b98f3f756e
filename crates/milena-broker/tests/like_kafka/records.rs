//! Refused Produce and Fetch requests.

use milena_core::Timestamp;
use milena_protocol::batch::rewrite;
use milena_protocol::messages::*;

use crate::bed::{Client, batch, batch_at, fetching, producing, topic};
use crate::refusals::Asked;

pub(crate) async fn produces(client: &mut Client, name: &str) -> Vec<Asked> {
    let mut asked = Vec::new();
    let good = batch(3, None);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        bytes::Bytes::from(bytes)
    };
    for (question, records) in [
        ("a sound batch", good.clone()),
        ("a flipped bit", changed(good.len() - 1, 0xff)),
        ("two batches", [&good[..], &good[..]].concat().into()),
        ("a batch in format 3", changed(16, 3)),
        ("a first sequence of 5", batch(2, Some((77_000, 0, 5)))),
        ("the next sequence", batch(2, Some((77_000, 0, 7)))),
        ("the same batch again", batch(2, Some((77_000, 0, 7)))),
        ("a gap in the sequence", batch(2, Some((77_000, 0, 12)))),
        ("a new epoch not from 0", batch(2, Some((77_000, 1, 9)))),
        ("a new epoch", batch(2, Some((77_000, 1, 0)))),
        ("an old epoch", batch(2, Some((77_000, 0, 9)))),
    ] {
        asked.push((question, client.produce(name, 0, records).await.error_code));
    }
    let now = Timestamp::now().to_millis();
    let hours = |count: i64| now + count * 3_600_000;
    let mut stamped = batch_at(&[now]).to_vec();
    stamped[22] |= 8;
    rewrite::renew_crc(&mut stamped);
    for (question, records) in [
        ("a record of now", batch_at(&[now])),
        ("a record of long ago", batch_at(&[1])),
        ("a record of two hours ahead", batch_at(&[now, hours(2)])),
        ("a record in microseconds", batch_at(&[now * 1000])),
        ("an append time set by a client", stamped.into()),
    ] {
        asked.push((question, client.produce(name, 1, records).await.error_code));
    }
    asked.push((
        "an unknown topic",
        client
            .produce("like-kafka-unknown", 0, good.clone())
            .await
            .error_code,
    ));
    asked.push((
        "an unknown partition",
        client.produce(name, 9, good.clone()).await.error_code,
    ));
    let odd = client.call(&producing(name, 0, good).with_acks(2), 9).await;
    asked.push((
        "acks of 2",
        odd.responses[0].partition_responses[0].error_code,
    ));
    asked
}

pub(crate) async fn fetches(client: &mut Client, name: &str) -> Vec<Asked> {
    let mut asked = vec![
        ("past the end", client.fetch(name, 0, 1000).await.error_code),
        ("at the end", client.fetch(name, 1, 3).await.error_code),
        (
            "an unknown topic is fetched",
            client.fetch("like-kafka-unknown", 0, 0).await.error_code,
        ),
    ];
    let mut request = fetching(name, &[(0, 0)]);
    request.topics[0].partitions[0].current_leader_epoch = 999;
    asked.push((
        "a future leader epoch",
        client.call(&request, 11).await.responses[0].partitions[0].error_code,
    ));
    let session = fetching(name, &[])
        .with_session_id(123_456_789)
        .with_session_epoch(4);
    asked.push((
        "an unknown session",
        client.call(&session, 11).await.error_code,
    ));
    let full = client
        .call(&fetching(name, &[(0, 0)]).with_session_epoch(0), 11)
        .await;
    let skipped = fetching(name, &[])
        .with_session_id(full.session_id)
        .with_session_epoch(9);
    asked.push((
        "a session epoch too far",
        client.call(&skipped, 11).await.error_code,
    ));
    for (question, partition, epoch) in [
        ("the end offset", 0, -1),
        ("the end offset of an unknown partition", 9, -1),
        ("the end offset under a future epoch", 0, 999),
    ] {
        let partition = list_offsets_request::ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_timestamp(-1)
            .with_current_leader_epoch(epoch);
        let topics = list_offsets_request::ListOffsetsTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_topics(vec![topics]);
        asked.push((
            question,
            client.call(&request, 5).await.topics[0].partitions[0].error_code,
        ));
    }
    asked
}
