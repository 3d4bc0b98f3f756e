//! The shop: places orders as fast as the cluster takes them.

use milena::{Client, ProducerRecord, Result};

use crate::order;
use crate::tally::Tally;
use crate::topics::Topics;

/// Places `count` orders and counts those that the brokers acknowledged.
///
/// # Errors
/// Where an order was not acknowledged; the others are placed all the same.
pub async fn place_orders(
    client: &Client,
    topics: &Topics,
    count: u64,
    tally: &Tally,
) -> Result<()> {
    let producer = client.producer().build()?;
    let mut deliveries = Vec::new();
    for id in 0..count {
        let placed = order::place(id);
        let record = ProducerRecord::new(&topics.orders)
            .key(placed.key)
            .value(placed.value);
        // Waits only while the producer's memory is full.
        deliveries.push(producer.enqueue(record).await?);
    }
    let mut failed = None;
    for delivery in deliveries {
        match delivery.await {
            Ok(_) => tally.count_placed(),
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(()), Err)
}
