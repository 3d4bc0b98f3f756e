//! Routes: which service a record goes to. What a driver needs to know of a stack or a router.

use std::sync::Arc;
use std::time::Duration;

use crate::{ConsumerRecord, Gate, Gauges, Result, TopicName, TopicPattern};

/// What a driver needs to know of one route.
#[derive(Clone, Debug)]
pub struct RouteInfo {
    /// Its name, for logs, metrics and pauses.
    pub name: Arc<str>,
    /// The topics whose records may take it; `None` without patterns means any topic.
    pub topics: Option<Vec<TopicName>>,
    /// Patterns of topics whose records may take it too.
    pub patterns: Vec<TopicPattern>,
    /// The gates of its layers: while one is closed, the route's partitions pause.
    pub gates: Vec<Gate>,
    /// The figures of its layers, which a consumer shows with its own.
    pub gauges: Vec<Arc<dyn Gauges>>,
    /// Whether one of its layers records attempts, so that the driver leaves it to that layer.
    pub records_attempts: bool,
    /// Whether the stack writes dead letters itself, so that an error that reaches the driver means "cannot go on".
    pub dead_letters: bool,
    /// Whether one of its layers tries records again, so that the driver does not: retries are bounded in one place.
    pub retries: bool,
    /// Whether one of its layers asks for the time: the driver then puts a [`WallClock`](crate::WallClock) among the extensions.
    pub asks_for_clock: bool,
    /// The topics that its layers write to.
    pub writes: Vec<WriteTarget>,
    /// How many records its handler takes at a time; `None` where it takes one.
    pub batch: Option<BatchSize>,
}

/// How many records a lane hands to a route together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// The most at a time; at least 1.
    pub records: usize,
    /// How long the first of them waits for others.
    pub within: Duration,
}

/// A topic that a layer of a route writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteTarget {
    /// What is written there, in words: `dead letters`, `retries`.
    pub what: &'static str,
    /// The topic, or how its name is made.
    pub to: WriteName,
    /// Whether it is a topic of the cluster that the consumer reads from, which can be asked for it.
    pub same_cluster: bool,
}

/// The name of a topic that is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteName {
    /// One topic, whatever was read.
    Topic(TopicName),
    /// For each topic that is read, one whose name is that with this ending.
    Suffix(String),
}

impl WriteTarget {
    /// The topic for what is read from `topic`.
    #[must_use]
    pub fn for_topic(&self, topic: &TopicName) -> TopicName {
        match &self.to {
            WriteName::Topic(name) => name.clone(),
            WriteName::Suffix(suffix) => format!("{topic}{suffix}").into(),
        }
    }

    /// Why no topic can have such a name, whatever is read.
    #[must_use]
    pub fn defect(&self) -> Option<String> {
        // A suffix is held against the shortest topic that there can be.
        let name = self.for_topic(&TopicName::from("x"));
        let defect = name.defect()?;
        Some(match &self.to {
            WriteName::Topic(name) => format!("`{name}`: {defect}"),
            WriteName::Suffix(suffix) => format!("the ending `{suffix}`: {defect}"),
        })
    }
}

impl RouteInfo {
    /// A route for any topic, without gates.
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
            writes: Vec::new(),
            batch: None,
        }
    }

    /// The topic that a topic of retries belongs to, by the endings of this route's retry topics; the longest that fits counts.
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

    /// Whether records of that topic may take it.
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

/// A table of routes: the driver selects a record's route first, then each lane calls its own clone of that route's service.
///
/// It is no service itself, since the readiness of one service over many routes would be all or nothing.
pub trait Routes: Send + Sync + 'static {
    /// A route's service: a tower service of [`Incoming`](crate::Incoming) that answers with an [`Outcome`](crate::Outcome).
    type Service: Clone + Send + 'static;

    /// Refuses a table that cannot work, with the reason and the remedy; a driver asks once, before the first record.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) naming what stands in the wrong place.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The routes; their number and order never change. At least one.
    fn routes(&self) -> &[RouteInfo];

    /// The route of a record, as an index into [`routes`](Self::routes).
    fn select(&self, record: &ConsumerRecord) -> usize;

    /// A new clone of a route's service, for one lane; a number out of range gives that of the last route.
    fn service(&self, route: usize) -> Self::Service;
}
