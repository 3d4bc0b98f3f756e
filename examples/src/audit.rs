//! The audit. Reads the topics where orders end, and finds the missing orders.

use std::collections::HashSet;
use std::time::Duration;

use milena::{AssignedConsumer, Client, ConsumerRecord, Result, StartAt, TopicPartition};
use serde_json::Value;
use tokio::time::timeout;

use crate::topics::Topics;

/// Follows the topics where orders end, without a group, and remembers every order that it reads
/// there.
pub struct Auditor {
    /// Reads the topics.
    consumer: AssignedConsumer,
    /// The topics of the order system.
    topics: Topics,
    /// The orders that were paid.
    pub paid: Orders,
    /// The orders that were shipped.
    pub shipped: Orders,
    /// The dead letters, each with its cause.
    pub dead_letters: Orders,
    /// The records that are none of these, with the reason.
    pub strange: Vec<String>,
}

/// Different orders, and the number of repeated records.
#[derive(Debug, Default)]
pub struct Orders {
    /// The ids of the orders.
    seen: HashSet<u64>,
    /// The records of orders that were there already.
    pub again: u64,
}

impl Orders {
    fn see(&mut self, id: u64) {
        self.again += u64::from(!self.seen.insert(id));
    }

    /// Returns the number of different orders.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Returns the number of records, including repeated ones.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.count() + self.again
    }
}

impl Auditor {
    /// Starts at the beginning of the topics.
    ///
    /// # Errors
    /// An error if a topic is missing or the cluster does not answer.
    pub async fn start(client: &Client, topics: &Topics) -> Result<Self> {
        let consumer = client.assigned_consumer().build()?;
        for topic in [&topics.paid, &topics.shipped, &topics.dead_letters] {
            let partitions = consumer.partitions_for(topic.clone()).await?;
            let place = |partition| TopicPartition::new(topic.clone(), partition);
            let places = partitions.into_iter().map(place);
            consumer.assign(places.map(|place| (place, StartAt::Beginning)));
        }
        Ok(Self {
            consumer,
            topics: topics.clone(),
            paid: Orders::default(),
            shipped: Orders::default(),
            dead_letters: Orders::default(),
            strange: Vec::new(),
        })
    }

    /// Reads records until `done` returns true, or none arrives for `patience`. Returns true if
    /// `done` did.
    ///
    /// # Errors
    /// An error if the topics cannot be read.
    pub async fn follow(
        &mut self,
        patience: Duration,
        done: impl Fn(&Self) -> bool,
    ) -> Result<bool> {
        while !done(self) {
            let Ok(record) = timeout(patience, self.consumer.recv()).await else {
                return Ok(false);
            };
            self.see(&record?);
        }
        Ok(true)
    }

    /// Returns the number of orders that were shipped or became dead letters.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.shipped.count() + self.dead_letters.count()
    }

    /// Returns the number of orders in `0..placed` that are neither shipped nor dead letters.
    #[must_use]
    pub fn lost(&self, placed: u64) -> u64 {
        let found =
            |id: &u64| self.shipped.seen.contains(id) || self.dead_letters.seen.contains(id);
        (0..placed).filter(|id| !found(id)).count() as u64
    }

    fn see(&mut self, record: &ConsumerRecord) {
        let orders = if record.topic == self.topics.paid {
            Ok(&mut self.paid)
        } else if record.topic == self.topics.shipped {
            Ok(&mut self.shipped)
        } else if record.headers.text("milena.cause.class").is_some() {
            Ok(&mut self.dead_letters)
        } else {
            Err("no cause")
        };
        let id = order_id(record.value.as_deref().unwrap_or_default());
        match orders.and_then(|orders| Ok((orders, id.ok_or("no order")?))) {
            Ok((orders, id)) => orders.see(id),
            Err(what) => {
                let (place, offset) = (record.topic_partition(), record.offset);
                self.strange.push(format!("{place} at {offset}: {what}"));
            }
        }
    }
}

/// Returns the id of a record's order at any stage, even if the record is not JSON.
fn order_id(value: &[u8]) -> Option<u64> {
    let Ok(json) = serde_json::from_slice::<Value>(value) else {
        let text = std::str::from_utf8(value).ok()?;
        return text.strip_prefix("order ")?.split(':').next()?.parse().ok();
    };
    let id = json.get("id").or_else(|| json.get("order"));
    id.and_then(|id| id.as_u64().or_else(|| id.get("id")?.as_u64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Order, PaidOrder, Shipment};

    #[test]
    fn an_order_is_known_at_every_stage() {
        let order = Order::number(7);
        let paid = PaidOrder {
            order: order.clone(),
            receipt: String::new(),
        };
        let shipped = Shipment {
            order: 7,
            parcel: String::new(),
        };
        let stages = [
            serde_json::to_vec(&order),
            serde_json::to_vec(&paid),
            serde_json::to_vec(&shipped),
        ];
        for stage in stages {
            assert_eq!(order_id(&stage.unwrap()), Some(7));
        }
        assert_eq!(order_id(b"order 249: two of the usual, please"), Some(249));
        assert_eq!(order_id(b"{}"), None);
    }
}
