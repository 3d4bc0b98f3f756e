//! Routes: which service processes which record, and what a driver must know about each route.

use std::sync::Arc;
use std::time::Duration;

use crate::{ConsumerRecord, Gate, Gauges, Result, TopicName, TopicPattern};

/// Description of one route, for the driver.
#[derive(Clone, Debug)]
pub struct RouteInfo {
    /// The name, for logs, metrics and pauses.
    pub name: Arc<str>,
    /// The topics whose records may take this route. `None` without `patterns` means any topic.
    pub topics: Option<Vec<TopicName>>,
    /// Patterns of further topics whose records may take this route.
    pub patterns: Vec<TopicPattern>,
    /// The gates of the route's layers. While one is closed, the route's partitions are paused.
    pub gates: Vec<Gate>,
    /// The figures of the route's layers. A consumer reports them with its own.
    pub gauges: Vec<Arc<dyn Gauges>>,
    /// True if a layer of the route records attempts. The driver then records none itself.
    pub records_attempts: bool,
    /// True if the stack writes dead letters itself. An error that reaches the driver then means
    /// that the lane cannot continue.
    pub dead_letters: bool,
    /// True if a layer of the route retries records. The driver then does not retry, so that one
    /// place limits the retries.
    pub retries: bool,
    /// True if a layer of the route needs the time. The driver then puts a
    /// [`WallClock`](crate::WallClock) into the extensions.
    pub asks_for_clock: bool,
    /// True if a layer of the route holds records until a later time. Only some sources can wait
    /// for it.
    pub holds: bool,
    /// The topics that the route's layers write to.
    pub writes: Vec<WriteTarget>,
    /// The size of a batch for the handler. `None` if it takes one record at a time.
    pub batch: Option<BatchSize>,
}

/// The number of records that a lane hands to a route together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// The most records at a time. At least 1.
    pub records: usize,
    /// The longest time that the first record of a batch waits for others.
    pub within: Duration,
}

/// A topic that a layer of a route writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteTarget {
    /// The kind of records written there, for people: `dead letters`, `retries`.
    pub what: &'static str,
    /// The topic, or the rule that makes its name.
    pub to: WriteName,
    /// True if the topic is in the cluster that the consumer reads from. The consumer can then
    /// check that it exists.
    pub same_cluster: bool,
}

/// The name of a topic that is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteName {
    /// One topic for records of every topic.
    Topic(TopicName),
    /// One topic for each topic that is read. Its name is that topic's name followed by this
    /// suffix.
    Suffix(String),
}

impl WriteTarget {
    /// Returns the topic that receives the records of `topic`.
    #[must_use]
    pub fn for_topic(&self, topic: &TopicName) -> TopicName {
        match &self.to {
            WriteName::Topic(name) => name.clone(),
            WriteName::Suffix(suffix) => format!("{topic}{suffix}").into(),
        }
    }

    /// Returns the reason why no topic can have this name. `None` if the name can be legal.
    #[must_use]
    pub fn defect(&self) -> Option<String> {
        // Check a suffix with the shortest possible topic name. If that is too long, every name is.
        let name = self.for_topic(&TopicName::from("x"));
        let defect = name.defect()?;
        Some(match &self.to {
            WriteName::Topic(name) => format!("`{name}`: {defect}"),
            WriteName::Suffix(suffix) => format!("the suffix `{suffix}`: {defect}"),
        })
    }
}

impl RouteInfo {
    /// Creates a route for any topic, without gates.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            topics: None,
            patterns: Vec::new(),
            gates: Vec::new(),
            gauges: Vec::new(),
            records_attempts: false,
            dead_letters: false,
            retries: false,
            asks_for_clock: false,
            holds: false,
            writes: Vec::new(),
            batch: None,
        }
    }

    /// Returns the topic that a retry topic belongs to. `None` if no retry suffix of this route
    /// matches.
    ///
    /// If several suffixes match, the longest one counts.
    #[must_use]
    pub fn base_of<'a>(&self, topic: &'a str) -> Option<&'a str> {
        let suffixes = self.writes.iter().filter_map(|target| match &target.to {
            WriteName::Suffix(suffix) => topic.strip_suffix(suffix.as_str()),
            WriteName::Topic(_) => None,
        });
        suffixes
            .filter(|base| !base.is_empty())
            .min_by_key(|base| base.len())
    }

    /// Returns true if records of that topic may take this route.
    #[must_use]
    pub fn takes(&self, topic: &TopicName) -> bool {
        match &self.topics {
            None if self.patterns.is_empty() => true,
            topics => {
                let named = topics.as_ref().is_some_and(|topics| topics.contains(topic));
                named || self.patterns.iter().any(|pattern| pattern.matches(topic))
            }
        }
    }
}

/// A table of routes. The driver selects a record's route, and each lane calls its own clone of
/// that route's service.
///
/// The table is not a service itself. One service for many routes would be ready for all of them or
/// for none.
pub trait Routes: Send + Sync + 'static {
    /// The service of a route: a tower service of [`Incoming`](crate::Incoming) that returns an
    /// [`Outcome`](crate::Outcome).
    type Service: Clone + Send + 'static;

    /// Refuses a table that cannot work. A driver calls this once, before the first record.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) with the layer or route in the wrong place,
    /// the reason, and the remedy.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Returns the routes, at least one. Their number and order never change.
    fn routes(&self) -> &[RouteInfo];

    /// Returns the route of a record, as an index into [`routes`](Self::routes).
    fn select(&self, record: &ConsumerRecord) -> usize;

    /// Returns a new clone of a route's service, for one lane. A number out of range selects the
    /// last route.
    fn service(&self, route: usize) -> Self::Service;
}

impl<R: Routes> Routes for Arc<R> {
    type Service = R::Service;

    fn check(&self) -> Result<()> {
        (**self).check()
    }

    fn routes(&self) -> &[RouteInfo] {
        (**self).routes()
    }

    fn select(&self, record: &ConsumerRecord) -> usize {
        (**self).select(record)
    }

    fn service(&self, route: usize) -> Self::Service {
        (**self).service(route)
    }
}
