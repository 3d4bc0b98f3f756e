//! The wall clock of a producer, which a user may replace.

use std::sync::Arc;

use milena_core::Timestamp;

/// The wall clock that stamps records.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
