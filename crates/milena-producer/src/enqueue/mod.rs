//! The caller's half. A record is checked, its partition is chosen, and it is encoded into the open
//! batch of that partition.

pub(crate) mod adaptive;
pub(crate) mod bell;
mod coarse_time;
pub(crate) mod draft;
pub(crate) mod entry;
pub(crate) mod future;
pub(crate) mod inner;
pub(crate) mod key_value;
pub(crate) mod limit;
pub(crate) mod memory;
pub(crate) mod partition;
pub(crate) mod refusal;
pub(crate) mod registry;
pub(crate) mod shared;
pub(crate) mod sticky;
pub(crate) mod tick;
pub(crate) mod topic;
pub(crate) mod within;
