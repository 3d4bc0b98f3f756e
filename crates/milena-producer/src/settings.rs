//! The settings of a producer, checked together once.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Acks, Backoff, Compression, Error, ErrorKind, Observers, Result, Timestamp, TopicName,
};
use milena_protocol::compression;

use crate::clock::Clock;
use crate::enqueue::adaptive::Spread;
use crate::flow::{Batching, Flow, Flows, TopicSettings, check_records, of_topic};
use crate::partitioner::{Murmur2, Partitioner};
use crate::rules::Rules;

/// The settings as given. `None` means that a setting was not given, and that its default may
/// follow from others.
#[derive(Clone)]
pub(crate) struct SettingsDraft {
    /// `acks`. `None` is all.
    pub(crate) acks: Option<Acks>,
    /// `enable.idempotence`. `None` is true if `acks` is all.
    pub(crate) idempotence: Option<bool>,
    /// `batch.size`, the most records of a batch, and `linger.ms`.
    pub(crate) batching: Batching,
    /// `max.request.size`, in bytes.
    pub(crate) max_request_size: usize,
    /// `buffer.memory`, in bytes.
    pub(crate) buffer_memory: usize,
    /// `compression.type` and its level.
    pub(crate) compression: Compression,
    /// `delivery.timeout.ms`. `None` is 120 s, or more if `linger.ms` and `request.timeout.ms` need
    /// more.
    pub(crate) delivery_timeout: Option<Duration>,
    /// `request.timeout.ms`.
    pub(crate) request_timeout: Duration,
    /// `max.block.ms`.
    pub(crate) max_block: Duration,
    /// `max.in.flight.requests.per.connection`.
    pub(crate) max_in_flight: usize,
    /// `max.connections.per.broker`.
    pub(crate) max_connections: u8,
    /// `retries`.
    pub(crate) retries: u32,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub(crate) backoff: Backoff,
    /// The time after which records of a topic that does not exist fail.
    pub(crate) missing_topic: Duration,
    /// `partitioner.class`.
    pub(crate) partitioner: Arc<dyn Partitioner>,
    /// `partitioner.adaptive.partitioning.enable`.
    pub(crate) adaptive: bool,
    /// `partitioner.availability.timeout.ms`. `None` and zero turn it off.
    pub(crate) availability: Option<Duration>,
    /// Topics with settings of their own.
    pub(crate) topics: HashMap<TopicName, TopicSettings>,
    /// The observers of batches.
    pub(crate) observers: Observers,
    /// The wall clock that stamps records without a timestamp.
    pub(crate) clock: Clock,
}

/// The settings of a producer, after `SettingsDraft::check` found that they agree. They do not
/// change.
pub(crate) struct Settings {
    /// The replicas that acknowledge a batch.
    pub(crate) acks: Acks,
    /// The batching, compression, partitioning and retries of each topic.
    pub(crate) flows: Flows,
    /// The most bytes of a request, and of a record.
    pub(crate) max_request_size: usize,
    /// The most bytes of batches without an outcome.
    pub(crate) buffer_memory: usize,
    /// The time that an answer may take.
    pub(crate) request_timeout: Duration,
    /// The time that enqueueing may wait for memory and metadata.
    pub(crate) max_block: Duration,
    /// The most requests in flight on a connection, at least 1.
    pub(crate) max_in_flight: usize,
    /// The most connections to a broker, at least 1. With `Acks::None` it is 1.
    pub(crate) max_connections: u8,
    /// The rules of topics without settings of their own.
    pub(crate) rules: Rules,
    /// The observers of batches.
    pub(crate) observers: Observers,
    /// The wall clock that stamps records without a timestamp.
    pub(crate) clock: Clock,
}

impl Default for SettingsDraft {
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

impl SettingsDraft {
    /// Checks the settings against each other, and fills in the defaults that depend on others.
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
        // Without answers the client cannot know when a request was worked on. A later request
        // on another connection could overtake it.
        let max_connections = match acks {
            Acks::None => 1,
            _ => self.max_connections,
        };
        self.check_sizes()?;
        self.check_request_timeout()?;
        // Without sequences a later batch could overtake a retried one, so a partition has one
        // batch in flight. With acks=0 the broker does not answer, and nothing is retried.
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

    /// Returns the acks and whether the producer is idempotent, each from the other if only one is
    /// given.
    fn reliability(&self) -> Result<(Acks, bool)> {
        match (self.acks, self.idempotence) {
            (Some(acks), Some(true)) if acks != Acks::All => Err(config(
                "enable.idempotence",
                format!(
                    "true needs acks=all, but acks={} was set; leave one of the two out",
                    acks
                ),
            )),
            (Some(acks), Some(idempotent)) => Ok((acks, idempotent)),
            (Some(acks), None) => Ok((acks, acks == Acks::All)),
            (None, idempotent) => Ok((Acks::All, idempotent.unwrap_or(true))),
        }
    }

    /// Returns the flow of a topic whose own settings are `own`.
    fn flow(&self, own: &TopicSettings, in_flight: usize, idempotent: bool) -> Result<Flow> {
        let batching = self.batching.or(own.batching);
        let linger = batching.interval.unwrap_or_default().min(FOR_EVER);
        let compression = own.compression.unwrap_or(self.compression);
        compression::check(compression)?;
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

    /// Refuses a request timeout of zero.
    fn check_request_timeout(&self) -> Result<()> {
        if self.request_timeout.is_zero() {
            return Err(config(
                "request.timeout.ms",
                "0 would give up every request",
            ));
        }
        Ok(())
    }

    /// Checks a given delivery timeout, or returns the default. It must be at least `linger` and
    /// the request timeout together.
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

    /// Refuses sizes of requests and memory that are too small or too large.
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

    /// Checks a given batch size, or returns the default, lowered to the request size and the
    /// memory.
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

/// The default batch size, in bytes. In measurements with twice this size, one caller's small
/// records were 20 % slower, since the batches no longer fit into the cache. With half of it,
/// larger records needed many requests.
const BATCH_SIZE: usize = 512 << 10;

/// The longest time that is counted. A longer one is cut to it, since clocks cannot count much
/// further.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Returns an error about the setting `key`.
fn config(key: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message).setting(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut SettingsDraft)) -> String {
        let mut draft = SettingsDraft::default();
        change(&mut draft);
        draft.check().unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_idempotent_and_acknowledged_by_all() {
        let settings = SettingsDraft::default().check().unwrap();
        assert_eq!(settings.acks, Acks::All);
        assert!(settings.rules.idempotent);
        assert_eq!(settings.rules.in_flight, 5);
        assert_eq!(settings.flows.usual().batch_size, BATCH_SIZE);
    }

    #[test]
    fn fewer_acks_turn_idempotence_off_unless_both_are_set() {
        let draft = SettingsDraft {
            acks: Some(Acks::Leader),
            ..SettingsDraft::default()
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
        let mut draft = SettingsDraft::default();
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
        let draft = SettingsDraft {
            buffer_memory: 64 << 10,
            ..SettingsDraft::default()
        };
        assert_eq!(draft.check().unwrap().flows.usual().batch_size, 64 << 10);
    }
}
