//! The shop: places orders as fast as the cluster takes them.

use milena::{ProducerRecord, Result};

use crate::order;
use crate::tally::Tally;
use crate::topics::Topics;
use crate::watch::Writer;

/// Places `count` orders, each the beginning of a trace, and counts those that the brokers acknowledged.
///
/// # Errors
/// Where an order was not acknowledged; the others are placed all the same.
pub async fn place_orders(
    writer: &Writer,
    topics: &Topics,
    count: u64,
    tally: &Tally,
) -> Result<()> {
    let mut deliveries = Vec::new();
    for id in 0..count {
        let placed = order::place(id);
        let mut record = ProducerRecord::new(&topics.orders)
            .key(placed.key)
            .value(placed.value);
        let span = writer.start(&mut record);
        // Waits only while the producer's memory is full.
        deliveries.push((span, writer.inner().enqueue(record).await?));
    }
    let mut failed = None;
    for (_span, delivery) in deliveries {
        match delivery.await {
            Ok(_) => tally.count_placed(),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}
