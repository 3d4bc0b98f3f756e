//! rdkafka, which is librdkafka through the wrapper's polled and its asynchronous interface.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::case::{ConsumeJob, Mode};
use crate::clients::text;
use crate::consume::board::Board;
use crate::consume::clients::from_end;
use crate::consume::clients::peers::librdkafka;
use crate::consume::tally::Tally;

/// Reads with `BaseConsumer::poll`, from a thread.
pub(super) fn poll(job: &ConsumeJob, board: &Board) -> Result<(), String> {
    board.set(librdkafka::told(job));
    let consumer: BaseConsumer = config(job).create().map_err(text)?;
    consumer.assign(&partitions(job)?).map_err(text)?;
    let mut tally = Tally::new(board, 0, job.partitions);
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(message) => {
                let message = message.map_err(text)?;
                let value = message.payload().unwrap_or_default();
                tally.record(message.partition(), message.offset(), value);
                if !tally.now_and_then()? {
                    return Ok(());
                }
            }
            None => {
                if !tally.flush()? {
                    return Ok(());
                }
            }
        }
    }
}

/// Reads with `StreamConsumer::recv`, from a task. As a handler it stores each offset, and
/// librdkafka commits the stored offsets.
pub(super) async fn stream(job: &ConsumeJob, board: &std::sync::Arc<Board>) -> Result<(), String> {
    board.set(librdkafka::told(job));
    let consumer: StreamConsumer = config(job).create().map_err(text)?;
    let in_group = job.mode == Mode::Handler;
    if in_group {
        consumer.subscribe(&[&job.topic]).map_err(text)?;
    } else {
        consumer.assign(&partitions(job)?).map_err(text)?;
    }
    let (board, partitions) = (std::sync::Arc::clone(board), job.partitions);
    let task = tokio::spawn(async move {
        let mut tally = Tally::new(&board, 0, partitions);
        loop {
            let message = consumer.recv().await.map_err(text)?;
            let value = message.payload().unwrap_or_default();
            tally.record(message.partition(), message.offset(), value);
            if in_group {
                consumer.store_offset_from_message(&message).map_err(text)?;
            }
            if !tally.now_and_then()? {
                return Ok(());
            }
        }
    });
    task.await.map_err(text)?
}

fn config(job: &ConsumeJob) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in librdkafka::settings(job) {
        config.set(key, value);
    }
    config
}

fn partitions(job: &ConsumeJob) -> Result<TopicPartitionList, String> {
    let mut list = TopicPartitionList::new();
    let start = if from_end(job) {
        Offset::End
    } else {
        Offset::Beginning
    };
    for partition in 0..job.partitions {
        list.add_partition_offset(&job.topic, partition as i32, start)
            .map_err(text)?;
    }
    Ok(list)
}
