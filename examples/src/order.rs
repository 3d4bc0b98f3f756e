//! The orders as they are placed, paid and shipped. Some of them are broken on purpose.

use milena::{JsonExt, ProducerRecord, Result, TopicName};
use serde::{Deserialize, Serialize};

/// An order as a shop places it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The id, which is unique among the orders of one run.
    pub id: u64,
    /// The customer. As the record's key it keeps the orders of one customer in order.
    pub customer: String,
    /// The ordered item.
    pub item: String,
    /// The number of items. An order of none is refused.
    pub quantity: u32,
    /// The price of one item, in cents.
    pub cents: u64,
}

/// An order with its payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaidOrder {
    /// The order.
    pub order: Order,
    /// The gateway's receipt.
    pub receipt: String,
}

/// An order with its parcel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shipment {
    /// The order's id.
    pub order: u64,
    /// The parcel's number.
    pub parcel: String,
}

impl Order {
    /// Creates order number `id`. It is the same in each run, so a run can be repeated. One order
    /// in 400 has no items.
    #[must_use]
    pub fn number(id: u64) -> Self {
        let item = match id % 5 {
            0 => "letter paper",
            1 => "ink",
            2 => "envelope",
            3 => "stamp",
            _ => "sealing wax",
        };
        Self {
            id,
            customer: format!("customer-{}", id * 7 % 101),
            item: item.to_owned(),
            quantity: if id % 400 == 399 {
                0
            } else {
                1 + (id % 3) as u32
            },
            cents: 150 + id * 37 % 5_000,
        }
    }
}

/// Builds the record of order number `id`, with the customer as its key. One in 250 is not JSON.
/// These and the orders of no items end as dead letters.
///
/// # Errors
/// An error if the order cannot be written as JSON.
pub fn record(topic: &TopicName, id: u64) -> Result<ProducerRecord> {
    let order = Order::number(id);
    let record = ProducerRecord::new(topic).key(order.customer.clone());
    match id % 250 {
        249 => Ok(record.value(format!("order {id}: two of the usual, please"))),
        _ => record.json(&order),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_broken_orders_cannot_be_processed() {
        for id in 0..4_000 {
            let value = record(&"orders".into(), id).unwrap().record.value.unwrap();
            let usable =
                serde_json::from_slice::<Order>(&value).is_ok_and(|order| order.quantity > 0);
            let broken = id % 250 == 249 || id % 400 == 399;
            assert_eq!(usable, !broken, "order {id}");
        }
    }
}
