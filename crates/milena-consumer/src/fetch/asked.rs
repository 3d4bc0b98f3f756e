//! A partition to ask a broker for.

use std::sync::Arc;

use milena_core::NodeId;
use milena_protocol::fetch::FetchPartition;

use crate::partition::{Partition, Wish};

/// A partition to ask a broker for, with the values that must still hold when the answer comes.
pub(super) struct Asked {
    /// Broker that is asked.
    pub(super) node: NodeId,
    /// The partition to fetch.
    pub(super) partition: Arc<Partition>,
    /// Its entry in the request.
    pub(super) entry: FetchPartition,
    /// The partition's wish that the entry was made from. A seek or a reset raises the turn in it,
    /// and the answer is then dropped.
    pub(super) wish: Wish,
    /// True if the broker is the partition's leader.
    pub(super) at_leader: bool,
    /// True if the broker may name a nearer replica.
    pub(super) names_rack: bool,
    /// True if it must not share a request with others.
    pub(super) is_alone: bool,
    /// Bytes to ask for if memory is short, enough for one batch. `None` if records of the
    /// partition still wait to be read, so that it can be left out.
    pub(super) one_batch: Option<u32>,
}
