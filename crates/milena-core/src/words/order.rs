//! The records that keep their order while a handler runs.

use std::fmt;
use std::str::FromStr;

use super::table::wrong;
use crate::{Error, Result};

/// The records that keep their order. Records of one unit are processed one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// All records of a partition keep their order. The default, and Kafka's own guarantee.
    #[default]
    Partition,
    /// Records with the same key keep their order. Each partition has this many lanes, and a free
    /// lane takes the next record whose key no other lane works on. Records without a key count as
    /// records of one key.
    Key(usize),
    /// No records keep their order. Each partition has this many lanes.
    Unordered(usize),
}

impl Order {
    /// The forms in which it is written, as a text lists them.
    pub const ALLOWED: &'static str = "partition, or key:LANES or unordered:LANES, such as key:8";
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition => f.pad("partition"),
            Self::Key(lanes) => write!(f, "key:{lanes}"),
            Self::Unordered(lanes) => write!(f, "unordered:{lanes}"),
        }
    }
}

impl FromStr for Order {
    type Err = Error;

    /// Reads an order, with its number of lanes from 1 to 4096.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) with all forms, for any other text.
    fn from_str(text: &str) -> Result<Self> {
        let read = match text {
            "partition" => Some(Self::Partition),
            _ => in_lanes(text),
        };
        read.ok_or_else(|| wrong("order", text, Self::ALLOWED))
    }
}

/// Reads an order with a number of lanes.
fn in_lanes(text: &str) -> Option<Order> {
    let (order, lanes) = text.split_once(':')?;
    let lanes = lanes.parse().ok()?;
    if !(1..=MOST_LANES).contains(&lanes) {
        return None;
    }
    match order {
        "key" => Some(Order::Key(lanes)),
        "unordered" => Some(Order::Unordered(lanes)),
        _ => None,
    }
}

/// The most lanes of a partition.
const MOST_LANES: usize = 4096;
