//! Settings of lanes that do not depend on the source.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Backoff, Error, ErrorKind, LaneStopPolicy, Observers, Order, Recorder, Result, StuckPolicy,
    Timestamp,
};

use crate::panics::named;

/// A function that returns wall-clock time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Settings of the lanes of one run. They do not change after its start.
#[derive(Clone)]
#[non_exhaustive]
pub struct Rules {
    /// The consumer group, for events and labels. Empty without a group.
    pub group: Arc<str>,
    /// The records that keep their order. Default [`Order::Partition`].
    pub order: Order,
    /// The number of attempts at a record if no layer retries. Default 5.
    pub max_attempts: u32,
    /// The waits between these attempts. Default 100 ms, doubling up to 10 s.
    pub retry_backoff: Backoff,
    /// The time after which a record that a handler still has is reported. Default 5 minutes.
    pub max_processing_time: Duration,
    /// The policy for such a record. Default [`StuckPolicy::Report`].
    pub on_stuck: StuckPolicy,
    /// The policy for a lane that cannot continue. Default [`LaneStopPolicy::Stop`].
    pub on_lane_stop: LaneStopPolicy,
    /// The observers of events. Default none.
    pub observers: Observers,
    /// The recorder of attempts. Default `None`.
    pub recorder: Option<Arc<dyn Recorder>>,
    /// The wall clock. It is user code and may panic. Default the system's clock.
    pub clock: Clock,
}

impl Rules {
    /// Returns the time of the wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        named("the consumer's clock", || (self.clock)())
    }

    /// Checks each setting.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] naming the setting and its value.
    pub fn check(&self) -> Result<()> {
        let lanes = match self.order {
            Order::Partition => 1,
            Order::Key(lanes) | Order::Unordered(lanes) => lanes,
        };
        if lanes == 0 || lanes > MAX_LANES {
            let what = format!("a partition has 1 to {MAX_LANES} lanes, not {lanes}");
            return Err(Error::new(ErrorKind::Config, what).setting("order"));
        }
        if self.max_processing_time.is_zero() {
            let what = "the time that a handler may have a record must be above zero";
            return Err(Error::new(ErrorKind::Config, what).setting("max.poll.interval.ms"));
        }
        if self.max_attempts == 0 {
            let what = "it must be above zero";
            return Err(Error::new(ErrorKind::Config, what).setting("max.attempts"));
        }
        Ok(())
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            group: "".into(),
            order: Order::default(),
            max_attempts: 5,
            retry_backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            max_processing_time: Duration::from_secs(300),
            on_stuck: StuckPolicy::default(),
            on_lane_stop: LaneStopPolicy::default(),
            observers: Observers::none(),
            recorder: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("group", &self.group)
            .field("order", &self.order)
            .field("max_attempts", &self.max_attempts)
            .finish_non_exhaustive()
    }
}

/// The most lanes of one partition.
const MAX_LANES: usize = 4096;
