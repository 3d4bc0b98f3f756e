//! krafka, polled.

use std::sync::Arc;
use std::time::Duration;

use krafka::Kafka;
use krafka::consumer::AutoOffsetReset;

use crate::case::ConsumeJob;
use crate::clients::text;
use crate::consume::board::Board;
use crate::consume::clients::from_end;
use crate::consume::tally::Tally;

pub(super) async fn consume(job: &ConsumeJob, board: &Arc<Board>) -> Result<(), String> {
    let kafka = Kafka::builder(job.bootstrap.clone()).connect().await;
    let reset = if from_end(job) {
        AutoOffsetReset::Latest
    } else {
        AutoOffsetReset::Earliest
    };
    let mut builder = kafka
        .map_err(text)?
        .consumer_without_group()
        .auto_offset_reset(reset);
    let mut set = "CRCs always checked".to_owned();
    if job.tuned() {
        builder = builder
            .max_poll_records(10_000)
            .max_buffered_records(50_000)
            .max_partition_fetch_bytes(4 << 20);
        set.push_str(
            "; max_poll_records=10000 max_buffered_records=50000 max_partition_fetch_bytes=4194304",
        );
    }
    board.set(set);
    let consumer = builder.build().await.map_err(text)?;
    let partitions = (0..job.partitions as i32).collect();
    consumer
        .assign(&job.topic, partitions)
        .await
        .map_err(text)?;
    let (board, partitions) = (Arc::clone(board), job.partitions);
    let task = tokio::spawn(async move {
        let mut tally = Tally::new(&board, 0, partitions);
        while tally.flush()? {
            let records = consumer.poll(Duration::from_millis(100)).await;
            for record in records.map_err(text)? {
                let value = record.value.as_deref().unwrap_or_default();
                tally.record(record.partition, record.offset, value);
            }
        }
        Ok(())
    });
    task.await.map_err(text)?
}
