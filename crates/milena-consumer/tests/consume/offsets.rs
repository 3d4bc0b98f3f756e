//! Offsets. Tests of who commits which of them, where reading begins and continues, and how large
//! the lag is.

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{AssignedConsumer, OffsetAndMetadata, OffsetReset, Order, StartAt};
use milena_core::{Attempt, ErrorKind, NodeId, Offset, ProducerRecord, Timestamp, TopicPartition};
use milena_pool::Target;
use milena_producer::Producer;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::OffsetCommitRequest;
use milena_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use tokio::time::{sleep, timeout};

use crate::bed::reading::{place, receive};
use crate::bed::{Bed, LIMIT, Seen, bed, beds_with, eventually, run, run_noting};

/// Writes one record at each of these times, in milliseconds, each in its own batch.
async fn fill_at(bed: &Bed, times: &[i64]) {
    let producer = Producer::builder(bed.cluster("filler").await)
        .build()
        .unwrap();
    for time in times {
        let record = ProducerRecord::new("orders").partition(0).value("0");
        let record = record.timestamp(Timestamp::from_millis(*time));
        producer.send(record).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_a_batch_and_named_offsets_are_committed_and_read_back_with_their_text() {
    let bed = bed(2).await;
    bed.fill(2, 0, 20).await;
    let consumer = bed.builder().await.build().unwrap();
    let record = receive(&consumer, 3).await.pop().unwrap();
    consumer.commit_record(&record).await.unwrap();
    let of = TopicPartition {
        topic: record.topic.clone(),
        partition: record.partition,
    };
    let index = u32::try_from(record.partition.to_wire()).unwrap();
    assert_eq!(bed.committed(index), Some(record.offset.next().to_wire()));

    let batch = timeout(LIMIT, consumer.recv_batch())
        .await
        .unwrap()
        .unwrap();
    consumer.commit_batch(&batch).await.unwrap();
    let next = batch.next_offset().to_wire();
    let index = u32::try_from(batch.topic_partition().partition.to_wire()).unwrap();
    assert_eq!(bed.committed(index), Some(next));

    let named = OffsetAndMetadata::new(7.into(), "by hand");
    consumer
        .commit_offsets([(of.clone(), named)])
        .await
        .unwrap();
    let found = consumer.committed_offsets([of.clone()]).await.unwrap();
    let found = found[&of].clone().unwrap();
    assert_eq!((found.offset, &*found.metadata), (7.into(), "by hand"));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_by_record_never_goes_back_and_one_by_name_may() {
    let bed = bed(1).await;
    bed.fill(1, 0, 20).await;
    let consumer = bed.builder().await.build().unwrap();
    let records = receive(&consumer, 10).await;
    consumer.commit_record(&records[9]).await.unwrap();
    consumer.commit_record(&records[3]).await.unwrap();
    assert_eq!(bed.committed(0), Some(10));
    consumer
        .commit_offsets([(place(0), Offset::from(4_u32))])
        .await
        .unwrap();
    assert_eq!(bed.committed(0), Some(4));
    let elsewhere = consumer.commit_offsets([(place(9), Offset::ZERO)]);
    assert_eq!(elsewhere.await.unwrap_err().kind(), ErrorKind::State);
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn commits_that_nobody_waits_for_go_on_in_order_and_share_requests() {
    let bed = bed(1).await;
    bed.fill(1, 0, 500).await;
    let consumer = bed.builder().await.build().unwrap();
    let records = receive(&consumer, 500).await;
    let before = bed.broker.journal().requests(ApiKey::OffsetCommit).len();
    let mut last = None;
    for record in &records {
        last = Some(consumer.commit_record_async(record).unwrap());
        if record.offset.to_wire() % 50 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    timeout(LIMIT, last.unwrap().into_future())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bed.committed(0), Some(500));
    let requests = bed.broker.journal().requests(ApiKey::OffsetCommit).len() - before;
    assert!(requests <= 12, "{requests} requests for 500 commits");
    // Closing waits for one more commit, whose future is dropped at once.
    consumer
        .seek(&place(0), StartAt::Offset(100.into()))
        .unwrap();
    receive(&consumer, 1).await;
    drop(consumer.commit_async());
    consumer.close().await;
    assert_eq!(bed.committed(0), Some(101));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_tells_why_whether_waited_for_or_not() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let consumer = bed.builder().await.build().unwrap();
    receive(&consumer, 5).await;
    let text = "x".repeat(5_000);
    let named = || [(place(0), OffsetAndMetadata::new(3.into(), text.as_str()))];
    let waited = consumer.commit_offsets(named()).await.unwrap_err();
    assert_eq!(waited.code(), Some(ErrorCode::OFFSET_METADATA_TOO_LARGE));
    let pending = consumer.commit_offsets_async(named()).unwrap();
    let told = pending.await.unwrap_err();
    assert_eq!(told.code(), Some(ErrorCode::OFFSET_METADATA_TOO_LARGE));
    consumer.commit().await.unwrap();
    assert_eq!(bed.committed(0), Some(5), "the consumer goes on");
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_interval_of_commits_is_kept() {
    let bed = bed(1).await;
    let seen = Seen::default();
    let builder = bed.builder().await;
    let running = run_noting(builder.commit_interval(Duration::from_secs(30)), &seen);
    bed.fill(1, 0, 5).await;
    seen.until_len(5).await;
    sleep(Duration::from_secs(20)).await;
    assert_eq!(bed.committed(0), None);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(bed.committed(0), Some(5));
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_group_without_offsets_begins_where_the_policy_says() {
    let times = [1_000, 2_000, 3_000, 4_000, 5_000];
    let now = || Timestamp::from_millis(5_500);
    let at = |millis| OffsetReset::Timestamp(Timestamp::from_millis(millis));
    let cases = [
        (OffsetReset::Earliest, 0),
        (OffsetReset::Latest, 5),
        (at(2_500), 2),
        (at(9_999), 5),
        (OffsetReset::Duration(Duration::from_millis(1_600)), 3),
        (OffsetReset::Duration(Duration::from_secs(3_600)), 0),
        (OffsetReset::Duration(Duration::ZERO), 5),
    ];
    for (policy, first) in cases {
        let bed = bed(1).await;
        fill_at(&bed, &times).await;
        let builder = bed.builder().await.auto_offset_reset(policy).clock(now);
        let consumer = builder.build().unwrap();
        assert!(
            consumer
                .next_batch(1, Duration::from_secs(3))
                .await
                .unwrap()
                .len()
                <= 1
        );
        consumer.seek(&place(0), StartAt::Offset(0.into())).unwrap();
        drop(consumer);
        let builder = bed.builder().await.auto_offset_reset(policy).clock(now);
        let consumer = builder.build().unwrap();
        let got = consumer
            .next_batch(1, Duration::from_secs(60))
            .await
            .unwrap();
        let offset = got.first().map(|record| record.offset.to_wire());
        assert_eq!(offset, (first < 5).then_some(first), "{policy:?}");
        assert_eq!(
            consumer.position(&place(0)).unwrap().unwrap().to_wire(),
            first + i64::try_from(got.len()).unwrap(),
            "{policy:?}"
        );
        consumer.close().await;
    }
    let bed = bed(1).await;
    let builder = bed.builder().await.auto_offset_reset(OffsetReset::None);
    let error = builder.build().unwrap().recv().await.unwrap_err();
    assert!(error.to_string().contains("auto.offset.reset"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn seeking_goes_to_an_offset_the_ends_or_a_time_and_the_next_commit_may_go_back() {
    let bed = bed(1).await;
    fill_at(&bed, &[1_000, 2_000, 3_000, 4_000]).await;
    let builder = bed.builder().await;
    let consumer = builder
        .clock(|| Timestamp::from_millis(4_200))
        .build()
        .unwrap();
    receive(&consumer, 4).await;
    consumer.commit().await.unwrap();
    let targets = [
        (StartAt::Beginning, 0),
        (StartAt::Offset(2.into()), 2),
        (StartAt::Timestamp(Timestamp::from_millis(1_500)), 1),
        (StartAt::Ago(Duration::from_secs(2)), 2),
    ];
    for (to, first) in targets {
        consumer.seek(&place(0), to).unwrap();
        let record = receive(&consumer, 1).await.remove(0);
        assert_eq!(record.offset.to_wire(), first, "{to:?}");
        consumer.commit().await.unwrap();
        assert_eq!(bed.committed(0), Some(first + 1), "{to:?}");
    }
    consumer.seek(&place(0), StartAt::End).unwrap();
    fill_at(&bed, &[]).await;
    let none = consumer
        .next_batch(1, Duration::from_secs(3))
        .await
        .unwrap();
    assert!(none.is_empty());
    fill_at(&bed, &[5_000]).await;
    assert_eq!(receive(&consumer, 1).await[0].offset, 4.into());
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn offsets_are_found_by_time_and_the_ends_of_a_log_are_told() {
    let bed = bed(2).await;
    fill_at(&bed, &[1_000, 2_000, 3_000]).await;
    bed.broker.inspect().delete_records("orders", 0, 1);
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .build()
        .unwrap();
    let at = Timestamp::from_millis;
    // A broker that is no longer the leader refuses first.
    let fault = Fault::error(ErrorCode::NOT_LEADER_OR_FOLLOWER).on(ApiKey::ListOffsets);
    bed.broker.faults().add(fault);
    let times = [(place(0), at(1_500)), (place(1), at(0))];
    let found = consumer.offsets_for_times(times).await.unwrap();
    let first = found[&place(0)].unwrap();
    assert_eq!((first.offset, first.timestamp), (1.into(), at(2_000)));
    assert_eq!(found[&place(1)], None);
    let none = consumer.offsets_for_times([(place(0), at(9_000))]).await;
    assert_eq!(none.unwrap()[&place(0)], None);
    let ends = consumer.watermarks(&place(0)).await.unwrap();
    assert_eq!((ends.low, ends.high), (1.into(), 3.into()));
    let unknown = consumer
        .watermarks(&TopicPartition::new("orders", 77))
        .await;
    assert!(unknown.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_time_before_1970_is_refused_wherever_one_is_named() {
    let bed = bed(1).await;
    fill_at(&bed, &[1_000]).await;
    let cluster = bed.cluster("consumer").await;
    let consumer = AssignedConsumer::builder(cluster.clone()).build().unwrap();
    consumer.assign([(place(0), StartAt::Beginning)]);
    for millis in [-1, -2, -3] {
        let time = Timestamp::from_millis(millis);
        let found = consumer.offsets_for_times([(place(0), time)]).await;
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Config);
        let sought = consumer.seek(&place(0), time).unwrap_err();
        assert_eq!(sought.kind(), ErrorKind::Config, "{sought}");
        let reset = OffsetReset::Timestamp(time);
        let builder = AssignedConsumer::builder(cluster.clone()).auto_offset_reset(reset);
        assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Config);
    }
}

#[tokio::test(start_paused = true)]
async fn lag_is_told_in_records_and_in_time_and_is_zero_when_caught_up() {
    let bed = bed(1).await;
    fill_at(&bed, &[10_000, 20_000, 30_000]).await;
    let builder = bed.builder().await;
    let consumer = builder
        .clock(|| Timestamp::from_millis(40_000))
        .build()
        .unwrap();
    let expected = [(2, 20), (1, 10), (0, 0)];
    for (records, seconds) in expected {
        receive(&consumer, 1).await;
        let lag = consumer.lag()[&place(0)];
        assert_eq!(lag.records, records);
        assert_eq!(lag.time, Some(Duration::from_secs(seconds)));
    }
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_at_work_counts_as_behind_until_it_is_done() {
    let bed = bed(1).await;
    fill_at(&bed, &[10_000, 20_000]).await;
    let builder = bed.builder().await.clock(|| Timestamp::from_millis(25_000));
    let consumer = std::sync::Arc::new(builder.build().unwrap());
    let stop = consumer.shutdown_handle();
    let running = tokio::spawn({
        let consumer = std::sync::Arc::clone(&consumer);
        async move {
            let slow = async |_: Offset| sleep(Duration::from_secs(10)).await;
            consumer.run(slow).await
        }
    });
    let time = || consumer.lag().get(&place(0)).and_then(|lag| lag.time);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    eventually("the first is at work", || time() == seconds(15)).await;
    eventually("the second is at work", || time() == seconds(5)).await;
    eventually("nothing is behind", || time() == seconds(0)).await;
    stop.shutdown();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_window_pauses_its_partition_and_no_other() {
    let bed = bed(2).await;
    bed.fill(2, 0, 400).await;
    let seen = Seen::default();
    let noted = seen.clone();
    let builder = bed.builder().await.order(Order::Unordered(4));
    let running = run(
        builder.max_out_of_order(50),
        move |partition: milena_core::Partition,
              offset: Offset,
              _: Attempt,
              milena_core::Value(value): milena_core::Value| {
            let noted = noted.clone();
            async move {
                if (partition.index(), offset.to_wire()) == (0, 0) {
                    sleep(Duration::from_secs(30)).await;
                }
                noted.note_parts(partition, &value);
            }
        },
    );
    seen.until("the other partition", |seen| seen.of(1).len() == 400)
        .await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(seen.of(0).len(), 49, "those behind the slow one wait");
    seen.until_len(800).await;
    eventually("all is committed", || {
        (bed.committed(0), bed.committed(1)) == (Some(400), Some(400))
    })
    .await;
    running.end().await;
}

/// Commits for the group from a program that is not a member of it.
async fn commit_from_outside(bed: &Bed, offset: i64, epoch: i32, text: &'static str) {
    let cluster = bed.cluster("another").await;
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_leader_epoch(epoch)
        .with_committed_metadata(Some(StrBytes::from_static_str(text)));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(StrBytes::from_static_str("orders").into())
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(StrBytes::from_static_str("billing").into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let node = bed.broker.inspect().coordinator("billing").unwrap();
    let target = Target::Node(NodeId::from_wire(node).unwrap());
    let answer = cluster.send(&target, &request).await.unwrap();
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
}

#[tokio::test(start_paused = true)]
async fn what_another_program_committed_is_begun_at_where_the_log_has_it_and_else_judged_by_the_policy()
 {
    // An offset within the log, one after its end, and one of an epoch that no leader had.
    let cases = [(5, -1, 5), (99, -1, 0), (5, 77, 0)];
    for (offset, epoch, begins) in cases {
        for bed in beds_with(1, |b| b).await {
            bed.fill(1, 0, 10).await;
            commit_from_outside(&bed, offset, epoch, "\u{1F980} not ours").await;
            let consumer = bed.builder().await.build().unwrap();
            let read = receive(&consumer, 10 - begins).await;
            assert_eq!(read[0].offset.to_wire(), begins as i64, "{offset} {epoch}");
            consumer.commit().await.unwrap();
            assert_eq!(bed.committed(0), Some(10));
            consumer.close().await;

            commit_from_outside(&bed, offset, epoch, "").await;
            let strict = bed.builder().await.auto_offset_reset(OffsetReset::None);
            let strict = strict.build().unwrap();
            let first = timeout(LIMIT, strict.recv()).await.unwrap();
            match begins {
                0 => assert!(
                    first
                        .as_ref()
                        .is_err_and(|error| error.to_string().contains("auto.offset.reset")),
                    "{first:?}"
                ),
                _ => assert_eq!(first.unwrap().offset.to_wire(), begins as i64),
            }
            strict.close().await;
        }
    }
}
