//! Recorders count attempts and records. Each route resolves its handle once, before its first
//! record.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{ErrorClass, TopicName};

/// Creates the handles that count attempts and records. Called once per route and topic, never per
/// record.
pub trait Recorder: Send + Sync {
    /// Creates the handle of one route.
    fn route(&self, labels: &RouteLabels) -> Arc<dyn RouteRecorder>;
}

/// Labels of a route's figures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RouteLabels {
    /// The consumer group. Empty if the consumer has no group.
    pub group: Arc<str>,
    /// The topic.
    pub topic: TopicName,
    /// The name of the route.
    pub route: Arc<str>,
}

impl RouteLabels {
    /// Creates the labels of a route.
    pub fn new(
        group: impl Into<Arc<str>>,
        topic: impl Into<TopicName>,
        route: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            group: group.into(),
            topic: topic.into(),
            route: route.into(),
        }
    }
}

/// A route's recorder, in the [extensions](crate::Incoming::extensions) of a record.
///
/// The driver puts it there for a layer that [records
/// attempts](crate::RouteInfo::records_attempts).
#[derive(Clone)]
pub struct Recording(pub Arc<dyn RouteRecorder>);

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

/// Counts the attempts and records of one route. Each call must take only nanoseconds.
pub trait RouteRecorder: Send + Sync {
    /// Counts an attempt of the handler that took `elapsed`.
    ///
    /// `attempt` is counted from 1. `result` holds the [name](crate::Outcome::name) of the outcome,
    /// or the class of the error.
    fn attempt(&self, attempt: u32, elapsed: Duration, result: Result<&'static str, ErrorClass>);

    /// Counts a record that its first attempt settled, where that attempt began at once.
    ///
    /// Has the effect of [`attempt`](Self::attempt) followed by [`record`](Self::record) with the
    /// same time and outcome. Nearly all records settle like this, so one call for both saves time.
    fn settled_at_once(&self, elapsed: Duration, outcome: &'static str) {
        self.attempt(1, elapsed, Ok(outcome));
        self.record(elapsed, outcome);
    }

    /// Counts a record that was settled `elapsed` after its first attempt began. `outcome` is the
    /// outcome's [name](crate::Outcome::name).
    fn record(&self, elapsed: Duration, outcome: &'static str);
}
