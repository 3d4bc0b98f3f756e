//! Recorders: told of each attempt and each record, through handles that are resolved per route ahead.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{ErrorClass, TopicName};

/// Makes the handles through which attempts and records are counted; called once per route and topic, never per record.
pub trait Recorder: Send + Sync {
    /// The handle for one route.
    fn route(&self, labels: &RouteLabels) -> Arc<dyn RouteRecorder>;
}

/// What a route's figures are labelled with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct RouteLabels {
    /// The consumer group; empty without one.
    pub group: Arc<str>,
    /// The topic.
    pub topic: TopicName,
    /// The route's name.
    pub route: Arc<str>,
}

impl RouteLabels {
    /// Labels for a route.
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

/// A route's recorder among the [extensions](crate::Incoming::extensions) of a record, put there by the driver for a layer that
/// [records attempts](crate::RouteInfo::records_attempts).
#[derive(Clone)]
pub struct Recording(pub Arc<dyn RouteRecorder>);

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recording")
    }
}

/// Counts one route's attempts and records; each call takes nanoseconds.
pub trait RouteRecorder: Send + Sync {
    /// An attempt of the handler, counted from 1, ended after `elapsed`: with an outcome's [name](crate::Outcome::name), or an error's class.
    fn attempt(&self, attempt: u32, elapsed: Duration, result: Result<&'static str, ErrorClass>);

    /// A record was settled by its first attempt, which began at once: as [`attempt`](Self::attempt) and [`record`](Self::record) with
    /// the same time and outcome. Nearly all records are, so that counting both at once is worth its while.
    fn settled_at_once(&self, elapsed: Duration, outcome: &'static str) {
        self.attempt(1, elapsed, Ok(outcome));
        self.record(elapsed, outcome);
    }

    /// A record was settled `elapsed` after its first attempt began, with an outcome's [name](crate::Outcome::name).
    fn record(&self, elapsed: Duration, outcome: &'static str);
}
