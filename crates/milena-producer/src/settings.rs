//! What a producer was told: settings, checked together once.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Error, ErrorKind, Observers, Result, Timestamp, TopicName};
use milena_protocol::compression::Compression;

use crate::adaptive::Spread;
use crate::flow::{Batching, Flow, Flows, TopicSettings, check_records, of_topic};
use crate::partition::Clock;
use crate::partitioner::{Murmur2, Partitioner};
use crate::queue::Rules;

/// How many replicas must have a batch before the broker acknowledges it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Acks {
    /// None: nobody answers, a lost record is never noticed. Kafka's `0`.
    None,
    /// The leader alone: lost if it dies before its followers have it. Kafka's `1`.
    Leader,
    /// All in-sync replicas. Kafka's `all`.
    #[default]
    All,
}

impl Acks {
    pub(crate) const fn to_wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Leader => "1",
            Self::All => "all",
        }
    }
}

/// The settings as given; `None` where nothing was given and the default may follow from others.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) acks: Option<Acks>,
    pub(crate) idempotence: Option<bool>,
    pub(crate) batching: Batching,
    pub(crate) max_request_size: usize,
    pub(crate) buffer_memory: usize,
    pub(crate) compression: Compression,
    pub(crate) delivery_timeout: Option<Duration>,
    pub(crate) request_timeout: Duration,
    pub(crate) max_block: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) max_connections: u8,
    pub(crate) retries: u32,
    pub(crate) backoff: Backoff,
    pub(crate) missing_topic: Duration,
    pub(crate) partitioner: Arc<dyn Partitioner>,
    pub(crate) adaptive: bool,
    pub(crate) availability: Option<Duration>,
    pub(crate) topics: HashMap<TopicName, TopicSettings>,
    pub(crate) observers: Observers,
    pub(crate) clock: Clock,
}

/// The settings as checked.
pub(crate) struct Settings {
    pub(crate) acks: Acks,
    pub(crate) flows: Flows,
    pub(crate) max_request_size: usize,
    pub(crate) buffer_memory: usize,
    pub(crate) request_timeout: Duration,
    pub(crate) max_block: Duration,
    pub(crate) max_in_flight: usize,
    pub(crate) max_connections: u8,
    pub(crate) rules: Rules,
    pub(crate) observers: Observers,
    pub(crate) clock: Clock,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            acks: None,
            idempotence: None,
            batching: Batching::new(),
            max_request_size: 8 << 20,
            buffer_memory: 64 << 20,
            compression: Compression::None,
            delivery_timeout: None,
            request_timeout: Duration::from_secs(30),
            max_block: Duration::from_secs(60),
            max_in_flight: 5,
            max_connections: 8,
            retries: u32::MAX,
            backoff: Backoff::default(),
            missing_topic: Duration::from_secs(15),
            partitioner: Arc::new(Murmur2),
            adaptive: true,
            availability: None,
            topics: HashMap::new(),
            observers: Observers::none(),
            clock: Arc::new(Timestamp::now),
        }
    }
}

impl Draft {
    /// Holds the settings against each other.
    pub(crate) fn check(mut self) -> Result<Settings> {
        self.request_timeout = self.request_timeout.min(FOR_EVER);
        self.max_block = self.max_block.min(FOR_EVER);
        let (acks, idempotent) = self.reliability()?;
        if idempotent && !(1..=5).contains(&self.max_in_flight) {
            let key = "max.in.flight.requests.per.connection";
            let value = self.max_in_flight;
            return Err(config(
                key,
                format!("{value} is outside 1 to 5, which enable.idempotence=true needs"),
            ));
        }
        if self.max_in_flight == 0 {
            return Err(config(
                "max.in.flight.requests.per.connection",
                "0 would never send anything",
            ));
        }
        if let (false, Some(limit)) = (self.adaptive, self.availability)
            && !limit.is_zero()
        {
            return Err(config(
                "partitioner.availability.timeout.ms",
                format!(
                    "{limit:?} needs partitioner.adaptive.partitioning.enable=true, but false was set"
                ),
            ));
        }
        if idempotent && self.retries == 0 {
            return Err(config(
                "retries",
                "0 cannot be combined with enable.idempotence=true",
            ));
        }
        if self.max_connections == 0 {
            return Err(config(
                "max.connections.per.broker",
                "0 would never send anything",
            ));
        }
        // Nobody tells when a request without an answer was worked on: on another connection the next could overtake it.
        let max_connections = match acks {
            Acks::None => 1,
            _ => self.max_connections,
        };
        self.check_sizes()?;
        self.check_request_timeout()?;
        // Without sequences a retry could be overtaken: order is kept by one at a time. Nobody answers acks=0, nothing is retried.
        let in_flight = if idempotent || acks == Acks::None || self.retries == 0 {
            self.max_in_flight
        } else {
            1
        };
        let usual = self.flow(&TopicSettings::new(), in_flight, idempotent)?;
        let rules = usual.rules;
        let mut flows = Flows::new(usual);
        for (topic, own) in &self.topics {
            let flow = self.flow(own, in_flight, idempotent);
            flows.insert(topic.clone(), flow.map_err(of_topic(topic))?);
        }
        Ok(Settings {
            acks,
            flows,
            max_request_size: self.max_request_size,
            buffer_memory: self.buffer_memory,
            request_timeout: self.request_timeout,
            max_block: self.max_block,
            max_in_flight: self.max_in_flight,
            max_connections,
            rules,
            observers: self.observers,
            clock: self.clock,
        })
    }

    fn reliability(&self) -> Result<(Acks, bool)> {
        match (self.acks, self.idempotence) {
            (Some(acks), Some(true)) if acks != Acks::All => Err(config(
                "enable.idempotence",
                format!(
                    "true needs acks=all, but acks={} was set; leave one of the two out",
                    acks.key()
                ),
            )),
            (Some(acks), Some(idempotent)) => Ok((acks, idempotent)),
            (Some(acks), None) => Ok((acks, acks == Acks::All)),
            (None, idempotent) => Ok((Acks::All, idempotent.unwrap_or(true))),
        }
    }

    /// The flow of a topic with settings of its `own`.
    fn flow(&self, own: &TopicSettings, in_flight: usize, idempotent: bool) -> Result<Flow> {
        let batching = self.batching.or(own.batching);
        let linger = batching.interval.unwrap_or_default().min(FOR_EVER);
        let compression = own.compression.unwrap_or(self.compression);
        compression.check()?;
        let partitioner = own.partitioner.as_ref().unwrap_or(&self.partitioner);
        Ok(Flow {
            linger,
            batch_size: self.batch_size(batching.bytes)?,
            batch_records: check_records(batching.records)?,
            compression,
            partitioner: partitioner.clone(),
            spread: Spread {
                adaptive: self.adaptive,
                availability: self.availability.filter(|limit| !limit.is_zero()),
            },
            rules: Rules {
                idempotent,
                in_flight,
                delivery_timeout: self
                    .delivery_timeout(linger, own.delivery_timeout.or(self.delivery_timeout))?,
                retries: self.retries,
                backoff: self.backoff,
                missing_topic: self.missing_topic,
            },
        })
    }

    fn check_request_timeout(&self) -> Result<()> {
        if self.request_timeout.is_zero() {
            return Err(config(
                "request.timeout.ms",
                "0 would give up every request",
            ));
        }
        Ok(())
    }

    fn delivery_timeout(&self, linger: Duration, given: Option<Duration>) -> Result<Duration> {
        let least = linger.saturating_add(self.request_timeout);
        match given {
            Some(given) if given < least => Err(config(
                "delivery.timeout.ms",
                format!(
                    "{given:?} is below linger.ms + request.timeout.ms = {linger:?} + {:?}",
                    self.request_timeout
                ),
            )),
            Some(given) => Ok(given.min(FOR_EVER).max(least)),
            None => Ok(Duration::from_secs(120).max(least)),
        }
    }

    fn check_sizes(&self) -> Result<()> {
        let (request, memory) = (self.max_request_size, self.buffer_memory);
        if request < 1024 || request > i32::MAX as usize {
            return Err(config(
                "max.request.size",
                format!("{request} bytes is outside 1 KiB to 2 GiB"),
            ));
        }
        if memory < 1024 {
            return Err(config(
                "buffer.memory",
                format!("{memory} bytes is below 1 KiB"),
            ));
        }
        Ok(())
    }

    fn batch_size(&self, given: Option<usize>) -> Result<usize> {
        let (request, memory) = (self.max_request_size, self.buffer_memory);
        let Some(batch) = given else {
            return Ok(BATCH_SIZE.min(request).min(memory));
        };
        let over = |key: &str, value: usize| {
            config(
                "batch.size",
                format!("{batch} bytes is over {key} = {value} bytes"),
            )
        };
        if batch > request {
            return Err(over("max.request.size", request));
        }
        if batch > memory {
            return Err(over("buffer.memory", memory));
        }
        Ok(batch)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("acks", &self.acks)
            .field("flow", self.flows.usual())
            .field("max_request_size", &self.max_request_size)
            .field("buffer_memory", &self.buffer_memory)
            .finish_non_exhaustive()
    }
}

/// Measured: with twice as much, one caller's small records come a fifth slower, as batches leave the cache; with half as much,
/// requests of larger records become many.
const BATCH_SIZE: usize = 512 << 10;

/// What a longer time counts as: clocks cannot count much further.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 86_400);

fn config(key: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message).setting(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Draft)) -> String {
        let mut draft = Draft::default();
        change(&mut draft);
        draft.check().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_idempotent_and_acknowledged_by_all() {
        let settings = Draft::default().check().unwrap();
        assert_eq!(settings.acks, Acks::All);
        assert!(settings.rules.idempotent);
        assert_eq!(settings.rules.in_flight, 5);
        assert_eq!(settings.flows.usual().batch_size, BATCH_SIZE);
    }

    #[test]
    fn fewer_acks_turn_idempotence_off_unless_both_are_set() {
        let draft = Draft {
            acks: Some(Acks::Leader),
            ..Draft::default()
        };
        let settings = draft.check().unwrap();
        assert!(!settings.rules.idempotent);
        assert_eq!(settings.rules.in_flight, 1);
        let text = refused(|draft| {
            draft.acks = Some(Acks::Leader);
            draft.idempotence = Some(true);
        });
        assert!(
            text.contains("enable.idempotence") && text.contains("acks=1"),
            "{text}"
        );
    }

    #[test]
    fn settings_that_disagree_are_named_with_both_values() {
        let text = refused(|draft| draft.delivery_timeout = Some(Duration::from_secs(5)));
        assert!(
            text.contains("delivery.timeout.ms") && text.contains("5s") && text.contains("30s"),
            "{text}"
        );
        let text = refused(|draft| {
            draft.batching.bytes = Some(4096);
            draft.buffer_memory = 2048;
        });
        assert!(
            text.contains("batch.size") && text.contains("4096") && text.contains("2048"),
            "{text}"
        );
        let text = refused(|draft| draft.max_in_flight = 6);
        assert!(
            text.contains("max.in.flight") && text.contains('6'),
            "{text}"
        );
    }

    #[test]
    fn a_topic_may_differ_and_the_rest_stays() {
        let mut draft = Draft::default();
        draft.batching.interval = Some(Duration::from_millis(5));
        let own = TopicSettings::new()
            .batch_size(2048)
            .batch_records(10)
            .delivery_timeout(Duration::from_secs(40));
        draft.topics.insert("clicks".into(), own);
        let flows = draft.check().unwrap().flows;
        let (clicks, orders) = (flows.of(&"clicks".into()), flows.of(&"orders".into()));
        assert_eq!((clicks.batch_size, orders.batch_size), (2048, BATCH_SIZE));
        assert_eq!((clicks.batch_records, orders.batch_records), (10, u32::MAX));
        assert_eq!(clicks.linger, orders.linger);
        assert_eq!(clicks.rules.delivery_timeout, Duration::from_secs(40));
        assert_eq!(flows.longest_timeout(), Duration::from_secs(120));
    }

    #[test]
    fn a_topic_s_settings_are_checked_like_the_others_and_it_is_named() {
        let text = refused(|draft| {
            let own = TopicSettings::new().delivery_timeout(Duration::from_secs(5));
            draft.topics.insert("clicks".into(), own);
        });
        assert!(
            text.contains("clicks") && text.contains("delivery.timeout.ms") && text.contains("30s"),
            "{text}"
        );
        let text = refused(|draft| draft.batching.records = Some(0));
        assert!(text.contains("batch.records"), "{text}");
    }

    #[test]
    fn a_batch_size_that_was_not_given_follows_the_memory() {
        let draft = Draft {
            buffer_memory: 64 << 10,
            ..Draft::default()
        };
        assert_eq!(draft.check().unwrap().flows.usual().batch_size, 64 << 10);
    }
}
