//! The orders: what is placed, what is paid, what is shipped, and which of them are broken on purpose.

use serde::{Deserialize, Serialize};

/// An order as a shop places it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// Unique among the orders of one run.
    pub id: u64,
    /// Who ordered; orders of one customer stay in order, since this is the record's key.
    pub customer: String,
    /// What.
    pub item: String,
    /// How many; an order of none is refused.
    pub quantity: u32,
    /// The price of one, in cents.
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

/// One placed record: its key and its bytes, which are not always an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The order's id.
    pub id: u64,
    /// The record's key: the customer.
    pub key: String,
    /// The record's value.
    pub value: Vec<u8>,
}

/// Makes the order number `id`: the same each time, so that a run can be repeated.
///
/// One in 250 is not JSON, and one in 400 orders nothing: both end as dead letters.
#[must_use]
pub fn place(id: u64) -> Placed {
    let item = match id % 5 {
        0 => "letter paper",
        1 => "ink",
        2 => "envelope",
        3 => "stamp",
        _ => "sealing wax",
    };
    let order = Order {
        id,
        customer: format!("customer-{}", id * 7 % 101),
        item: item.to_owned(),
        quantity: if id % 400 == 399 {
            0
        } else {
            1 + (id % 3) as u32
        },
        cents: 150 + id * 37 % 5_000,
    };
    let value = if id % 250 == 249 {
        format!("order {id}: two of the usual, please").into_bytes()
    } else {
        serde_json::to_vec(&order).unwrap_or_default()
    };
    Placed {
        id,
        key: order.customer,
        value,
    }
}

/// Whether order number `id` is broken on purpose.
#[must_use]
pub fn is_poison(id: u64) -> bool {
    id % 250 == 249 || id % 400 == 399
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_broken_orders_cannot_be_processed() {
        for id in 0..4_000 {
            let usable = serde_json::from_slice::<Order>(&place(id).value)
                .is_ok_and(|order| order.quantity > 0);
            assert_eq!(usable, !is_poison(id), "order {id}");
        }
    }
}
