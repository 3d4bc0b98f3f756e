//! rskafka. A task for each partition fetches from its position. There is no group, and no
//! read-ahead.

use std::sync::Arc;

use rskafka::client::ClientBuilder;
use rskafka::client::partition::{OffsetAt, UnknownTopicHandling};
use tokio::task::JoinSet;

use crate::case::ConsumeJob;
use crate::clients::text;
use crate::consume::board::Board;
use crate::consume::clients::from_end;
use crate::consume::tally::Tally;

pub(super) async fn consume(job: &ConsumeJob, board: &Arc<Board>) -> Result<(), String> {
    let client = ClientBuilder::new(vec![job.bootstrap.clone()])
        .build()
        .await
        .map_err(text)?;
    let most = if job.tuned() { 4 << 20 } else { 1 << 20 };
    board.set(format!(
        "CRCs always checked; a task per partition, {most} B a fetch"
    ));
    let mut tasks = JoinSet::new();
    for partition in 0..job.partitions as i32 {
        let handling = UnknownTopicHandling::Retry;
        let reader = client
            .partition_client(job.topic.as_str(), partition, handling)
            .await
            .map_err(text)?;
        let start = if from_end(job) {
            OffsetAt::Latest
        } else {
            OffsetAt::Earliest
        };
        let mut at = reader.get_offset(start).await.map_err(text)?;
        let (board, partitions) = (Arc::clone(board), job.partitions);
        tasks.spawn(async move {
            let mut tally = Tally::new(&board, partition, partitions);
            while tally.flush()? {
                let (records, _) = reader.fetch_records(at, 1..most, 500).await.map_err(text)?;
                for each in &records {
                    let value = each.record.value.as_deref().unwrap_or_default();
                    tally.record(partition, each.offset, value);
                }
                at = records.last().map_or(at, |last| last.offset + 1);
            }
            Ok::<_, String>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(text)??;
    }
    Ok(())
}
