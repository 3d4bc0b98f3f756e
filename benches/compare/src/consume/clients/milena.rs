//! milena, always with its defaults.

use std::error::Error;
use std::sync::{Arc, OnceLock};

use milena::consumer::{AssignedConsumer, StartAt};
use milena::{Client, ConsumerRecord, OffsetReset, Outcome, TopicPartition};
use tokio::task::JoinSet;

use crate::case::{ConsumeJob, Mode};
use crate::clients::text;
use crate::consume::board::Board;
use crate::consume::clients::{from_end, group};
use crate::consume::tally::Tally;

pub(super) async fn consume(job: &ConsumeJob, board: &Arc<Board>) -> Result<(), String> {
    board.set("CRCs checked by default".to_owned());
    let client = Client::builder()
        .bootstrap([job.bootstrap.as_str()])
        .connect()
        .await
        .map_err(text)?;
    if job.mode == Mode::Handler || job.members > 1 {
        return handle(job, &client, board).await;
    }
    let consumer = client.assigned_consumer().build().map_err(text)?;
    let start = if from_end(job) {
        StartAt::End
    } else {
        StartAt::Beginning
    };
    let place = |partition: u32| (TopicPartition::new(job.topic.as_str(), partition), start);
    consumer.assign((0..job.partitions).map(place));
    let (board, job) = (Arc::clone(board), job.clone());
    let task = tokio::spawn(async move {
        match job.mode {
            Mode::Stream => stream(&job, &consumer, &board).await.map_err(text),
            _ => batches(&job, &consumer, &board).await,
        }
    });
    task.await.map_err(text)?
}

/// Reads batches of views of the fetched bytes.
async fn batches(
    job: &ConsumeJob,
    consumer: &AssignedConsumer,
    board: &Board,
) -> Result<(), String> {
    let mut tally = Tally::new(board, 0, job.partitions);
    while tally.flush()? {
        let batch = consumer.recv_batch().await.map_err(text)?;
        let partition = batch.topic_partition().partition.to_wire();
        for record in batch.iter() {
            let record = record.map_err(text)?;
            let value = record.value.unwrap_or_default();
            tally.record(partition, record.offset.to_wire(), value);
        }
    }
    Ok(())
}

/// Reads owned records, one with each call.
async fn stream(
    job: &ConsumeJob,
    consumer: &AssignedConsumer,
    board: &Board,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut tally = Tally::new(board, 0, job.partitions);
    loop {
        let record = consumer.recv().await?;
        let value = record.value.as_deref().unwrap_or_default();
        tally.record(record.partition.to_wire(), record.offset.to_wire(), value);
        if !tally.now_and_then()? {
            return Ok(());
        }
    }
}

/// Runs an asynchronous function for each record, in a group that commits the processed records.
async fn handle(job: &ConsumeJob, client: &Client, board: &Arc<Board>) -> Result<(), String> {
    let _ = BOARD.set(Arc::clone(board));
    let mut members = JoinSet::new();
    for _ in 0..job.members {
        let reset = if from_end(job) {
            OffsetReset::Latest
        } else {
            OffsetReset::Earliest
        };
        let consumer = client
            .consumer(group())
            .topics([job.topic.as_str()])
            .auto_offset_reset(reset)
            .build()
            .map_err(text)?;
        members.spawn(async move { consumer.run(note).await.map(drop).map_err(text) });
    }
    while let Some(ended) = members.join_next().await {
        ended.map_err(text)??;
    }
    Ok(())
}

async fn note(record: ConsumerRecord) -> Outcome {
    if let Some(board) = BOARD.get() {
        let value = record.value.as_deref().unwrap_or_default();
        board.note(record.partition.to_wire(), record.offset.to_wire(), value);
    }
    Outcome::Ack
}

static BOARD: OnceLock<Arc<Board>> = OnceLock::new();
