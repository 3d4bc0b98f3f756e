//! Capabilities of a source of records, and the needs of the routes that process them.

use std::fmt;

use crate::{Error, ErrorKind, Order, Result, RouteInfo};

/// One thing that some sources of records can do and others cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// The records of a partition come in their order, and only to one consumer at a time.
    OrderByPartition,
    /// The records of a key come in their order, and only to one consumer at a time.
    OrderByKey,
    /// A record can wait unsettled until a later time, however long, while no more records come.
    Hold,
    /// A record stays with its lane for as long as the lane works on it. A source whose records are
    /// locked for a time renews the lock meanwhile.
    Renew,
    /// A lane can have several records of a partition at once, and try one of them again before
    /// those behind it.
    Batches,
}

impl Capability {
    /// All capabilities.
    pub const ALL: [Self; 5] = [
        Self::OrderByPartition,
        Self::OrderByKey,
        Self::Hold,
        Self::Renew,
        Self::Batches,
    ];

    /// Returns the bit that stands for this capability.
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Returns the advice for a run whose source lacks this.
    const fn remedy(self) -> &'static str {
        match self {
            Self::OrderByPartition | Self::OrderByKey => {
                "set the order to `unordered`, or read from a source that keeps it"
            }
            Self::Hold => "remove that layer, or read from a source that can hold records",
            Self::Renew => "read from a source that renews its locks",
            Self::Batches => {
                "take one record at a time, set the order to `unordered`, or read from another source"
            }
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::OrderByPartition => "keep the order of a partition",
            Self::OrderByKey => "keep the order of a key",
            Self::Hold => "hold a record until a later time",
            Self::Renew => "renew the lock of a record",
            Self::Batches => "hand over several records of a partition in their order",
        })
    }
}

/// The things that a source of records can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(
    /// One bit for each [`Capability`].
    u8,
);

impl Capabilities {
    /// Returns a set without capabilities.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Returns a set of all capabilities.
    #[must_use]
    pub fn all() -> Self {
        Capability::ALL.into_iter().fold(Self::none(), Self::with)
    }

    /// Returns this set and `capability`.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// Returns this set without `capability`.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Self(self.0 & !capability.bit())
    }

    /// Returns true if the source can do this.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }
}

/// The capabilities that a run needs of its source, each with the part of the run that needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs(
    /// The needs, in the order in which they are checked.
    Vec<(Capability, String)>,
);

impl Needs {
    /// Returns the needs of a run of these routes in this order.
    #[must_use]
    pub fn of(routes: &[RouteInfo], order: Order) -> Self {
        let mut needs = Vec::new();
        match order {
            Order::Partition => {
                needs.push((Capability::OrderByPartition, format!("the order `{order}`")));
            }
            Order::Key(_) => needs.push((Capability::OrderByKey, format!("the order `{order}`"))),
            Order::Unordered(_) => {}
        }
        for info in routes {
            if info.holds {
                let by = format!("a layer of the route `{}`", info.name);
                needs.push((Capability::Hold, by));
            }
            // Lanes of the other orders have one record each. Their handler gathers the records of
            // several lanes, which needs nothing of the source.
            if info.batch.is_some() && order == Order::Partition {
                let by = format!("the batch handler of the route `{}`", info.name);
                needs.push((Capability::Batches, by));
            }
        }
        Self(needs)
    }

    /// Checks that a source meets the needs. `source` names it in the error, such as "the queue
    /// `orders`".
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for the first need that the source does not meet. It names the source,
    /// the part of the run that needs it, and the remedy.
    pub fn check(&self, source: &str, can: Capabilities) -> Result<()> {
        let Some((lacks, by)) = self.0.iter().find(|(need, _)| !can.has(*need)) else {
            return Ok(());
        };
        let remedy = lacks.remedy();
        let what = format!("{source} cannot {lacks}, which {by} needs: {remedy}");
        Err(Error::new(ErrorKind::Config, what))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::BatchSize;

    fn refusal(routes: &[RouteInfo], order: Order, lacks: Capability) -> Option<String> {
        let can = Capabilities::all().without(lacks);
        let checked = Needs::of(routes, order).check("the queue `jobs`", can);
        checked.err().map(|error| error.message().to_owned())
    }

    #[test]
    fn an_order_that_the_source_does_not_keep_is_refused_by_name() {
        let routes = [RouteInfo::new("orders")];
        assert_eq!(
            refusal(&routes, Order::Key(8), Capability::OrderByKey).unwrap(),
            "the queue `jobs` cannot keep the order of a key, which the order `key:8` needs: \
             set the order to `unordered`, or read from a source that keeps it"
        );
        assert!(refusal(&routes, Order::Partition, Capability::OrderByPartition).is_some());
        assert_eq!(
            refusal(&routes, Order::Unordered(8), Capability::OrderByPartition),
            None
        );
    }

    #[test]
    fn a_layer_that_holds_records_needs_a_source_that_can() {
        let mut info = RouteInfo::new("orders");
        assert_eq!(
            refusal(&[info.clone()], Order::Partition, Capability::Hold),
            None
        );
        info.holds = true;
        let refused = refusal(&[info], Order::Partition, Capability::Hold).unwrap();
        assert!(
            refused.contains("a layer of the route `orders`"),
            "{refused}"
        );
    }

    #[test]
    fn a_batch_handler_needs_batches_of_the_source_only_where_a_lane_keeps_the_order() {
        let mut info = RouteInfo::new("orders");
        info.batch = Some(BatchSize {
            records: 10,
            within: Duration::ZERO,
        });
        let routes = [info];
        assert!(refusal(&routes, Order::Partition, Capability::Batches).is_some());
        assert_eq!(
            refusal(&routes, Order::Unordered(4), Capability::Batches),
            None
        );
    }

    #[test]
    fn a_set_has_what_was_added_and_no_longer_what_was_removed() {
        for capability in Capability::ALL {
            assert!(!Capabilities::none().has(capability));
            assert!(Capabilities::none().with(capability).has(capability));
            let others = Capabilities::all().without(capability);
            assert!(!others.has(capability));
            assert_eq!(others.with(capability), Capabilities::all());
        }
    }
}
