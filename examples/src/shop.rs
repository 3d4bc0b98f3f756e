//! The shop. Places orders as fast as the cluster takes them.

use milena::{Result, TopicName};

use crate::order;
use crate::watch::Writer;

/// Places `count` orders, each with a trace of its own. Returns the number of orders that the
/// brokers acknowledged.
///
/// # Errors
/// An error if an order was not acknowledged. The others are placed anyway.
pub async fn place_orders(writer: &Writer, orders: &TopicName, count: u64) -> Result<u64> {
    let mut deliveries = Vec::new();
    for id in 0..count {
        let mut record = order::record(orders, id)?;
        let span = writer.start(&mut record);
        // This waits only while the producer's memory is full.
        deliveries.push((span, writer.inner().enqueue(record).await?));
    }
    let mut placed = Ok(0);
    for (_span, delivery) in deliveries {
        let delivered = delivery.await;
        placed = placed.and_then(|placed| delivered.map(|_| placed + 1));
    }
    placed
}
