//! What a consumer was told: every setting with its default, parsed once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Error, ErrorKind, Observers, Recorder, Result, Timestamp, TopicName};
use milena_protocol::fetch::IsolationLevel;

use crate::group::{GroupSettings, Signals};
use crate::subscription::Subscription;
use crate::supervise::named;

/// Where to begin when a group has committed nothing for a partition, or its offset is out of the log's range
/// (`auto.offset.reset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first record there is. The default: a fresh group loses nothing.
    #[default]
    Earliest,
    /// Behind the last record there is; resolved to a number once. It leaves out what was written before the consumer began: a partition
    /// that is added to a topic later, a topic that a pattern takes in later, and one that is made again, are read from their first
    /// record.
    Latest,
    /// At the first record that has this timestamp or a later one; behind the last where there is none.
    Timestamp(Timestamp),
    /// At the first record of this last stretch of time, counted from when the position is looked up (KIP-1106's `by_duration`);
    /// behind the last where there is none.
    Duration(Duration),
    /// Nowhere: an error names the partition.
    None,
}

/// What keeps its order: the unit in which records are processed one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The records of a partition. The default, and Kafka's own promise.
    #[default]
    Partition,
    /// The records of a key; each partition has that many lanes, and a free lane takes the next record whose key nobody works on.
    /// Records without a key count as of one key.
    Key(usize),
    /// Nothing; each partition has that many lanes.
    Unordered(usize),
}

/// What to do when a lane cannot go on: its record could neither be processed nor dead-lettered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneStopPolicy {
    /// The consumer ends with a typed error, its other lanes drained. The default: nothing is lost and nobody can miss it.
    #[default]
    Stop,
    /// The partition stays paused and unsettled, the others go on; the event `LaneStopped` turns health red.
    Pause,
}

/// What to do with a batch that cannot be read: its checksum is wrong, it does not decompress, or it would grow over the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CorruptPolicy {
    /// Tell it, with topic, partition and offset, and go no further: a handler's lane stops, a receiver gets the error. The default:
    /// nothing is lost unseen.
    #[default]
    Stop,
    /// Pass it over, told by the event `CorruptSkipped` and counted in the report. Where a batch's checksum is wrong, its header may be
    /// what is wrong: it ends where the batch behind it begins. Where there is none after some tries, or not even the header can be
    /// read, its end is not known, and it is told as by `Stop`.
    Skip,
}

/// What to do with a handler that has a record for longer than `max_processing_time`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StuckPolicy {
    /// Report it, by the event `HandlerStuck` and in the log, and wait on. The default: slow is not wrong.
    #[default]
    Report,
    /// Stop its lane as well, as [`LaneStopPolicy`] says: with `Stop` the consumer ends, and others get the partition. A consumer whose
    /// records are received ends, where records wait and nobody receives.
    StopLane,
}

/// A source of wall-clock time.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

#[derive(Clone)]
pub(crate) struct Settings {
    /// `None` for a consumer without a group.
    pub(crate) group: Option<Arc<str>>,
    pub(crate) instance: Option<Arc<str>>,
    pub(crate) topics: BTreeSet<TopicName>,
    pub(crate) membership: GroupSettings,
    pub(crate) session_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) rebalance_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) commit_interval: Duration,
    pub(crate) manual_commit: bool,
    pub(crate) commit_metadata: Arc<str>,
    pub(crate) offset_reset: OffsetReset,
    pub(crate) isolation: IsolationLevel,
    pub(crate) fetch_max_wait: Duration,
    pub(crate) fetch_min_bytes: u32,
    pub(crate) fetch_max_bytes: usize,
    pub(crate) partition_fetch_bytes: usize,
    pub(crate) buffer_memory: usize,
    pub(crate) max_batch_size: usize,
    pub(crate) check_crcs: bool,
    pub(crate) on_corrupt: CorruptPolicy,
    pub(crate) order: Order,
    pub(crate) max_out_of_order: usize,
    pub(crate) max_processing_time: Duration,
    pub(crate) on_stuck: StuckPolicy,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) on_lane_stop: LaneStopPolicy,
    pub(crate) max_attempts: u32,
    pub(crate) retry_backoff: Backoff,
    pub(crate) observers: Observers,
    pub(crate) recorder: Option<Arc<dyn Recorder>>,
    pub(crate) clock: Clock,
}

impl Settings {
    pub(crate) fn new(group: Option<Arc<str>>, observers: Observers) -> Self {
        Self {
            group,
            instance: None,
            topics: BTreeSet::new(),
            membership: GroupSettings::default(),
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            rebalance_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            commit_interval: Duration::from_secs(1),
            manual_commit: false,
            commit_metadata: "".into(),
            offset_reset: OffsetReset::default(),
            isolation: IsolationLevel::ReadCommitted,
            fetch_max_wait: Duration::from_millis(500),
            fetch_min_bytes: 1,
            fetch_max_bytes: 32 << 20,
            partition_fetch_bytes: 1 << 20,
            buffer_memory: 64 << 20,
            max_batch_size: milena_protocol::compression::DEFAULT_MAX_SIZE,
            check_crcs: true,
            on_corrupt: CorruptPolicy::default(),
            order: Order::default(),
            max_out_of_order: 10_000,
            max_processing_time: Duration::from_secs(300),
            on_stuck: StuckPolicy::default(),
            shutdown_timeout: Duration::from_secs(60),
            on_lane_stop: LaneStopPolicy::default(),
            max_attempts: 5,
            retry_backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            observers,
            recorder: None,
            clock: Arc::new(Timestamp::now),
        }
    }

    /// The wall clock's time.
    pub(crate) fn now(&self) -> Timestamp {
        named("the consumer's clock", || (self.clock)())
    }

    /// The group's name, empty without one.
    pub(crate) fn group_name(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    /// What it reads at first.
    pub(crate) fn subscription(&self) -> Subscription {
        Subscription {
            topics: self.topics.clone(),
            pattern: self.membership.pattern.clone(),
        }
    }

    pub(crate) fn signals(&self) -> Signals {
        Signals::new(self.subscription(), self.membership.on_close)
    }

    /// Refuses what does not fit together, naming the keys and values.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(group) = &self.group {
            if group.is_empty() {
                return Err(config("group.id", "a group needs a name"));
            }
            self.membership.check()?;
            let subscription = self.subscription();
            subscription
                .check()
                .map_err(|error| error.group(group.clone()))?;
        }
        if matches!(self.offset_reset, OffsetReset::Timestamp(time) if time.to_millis() < 0) {
            let what = "no record was written before 1970; begin at the earliest in its place";
            return Err(config("auto.offset.reset", what));
        }
        longer(
            ("session.timeout.ms", self.session_timeout),
            ("heartbeat.interval.ms", self.heartbeat_interval),
        )?;
        longer(
            ("rebalance timeout", self.rebalance_timeout),
            ("drain timeout", self.drain_timeout),
        )?;
        let lanes = match self.order {
            Order::Partition => 1,
            Order::Key(lanes) | Order::Unordered(lanes) => lanes,
        };
        if lanes == 0 || lanes > MAX_LANES {
            let what = format!("a partition has 1 to {MAX_LANES} lanes, not {lanes}");
            return Err(config("order", what));
        }
        if self.max_processing_time.is_zero() {
            let what = "no handler can do anything in no time";
            return Err(config("max.poll.interval.ms", what));
        }
        if self.max_out_of_order == 0 {
            let what = "a window of no records lets none through";
            return Err(config("max.out.of.order", what));
        }
        if self.heartbeat_interval.is_zero() || self.commit_interval.is_zero() {
            let what = "an interval of zero would spin: give it some milliseconds";
            return Err(config("heartbeat.interval.ms", what));
        }
        if self.buffer_memory == 0 || self.partition_fetch_bytes == 0 || self.max_attempts == 0 {
            let what = "memory, fetch bytes and attempts must be above zero";
            return Err(config("max.partition.fetch.bytes", what));
        }
        // Brokers count the units of Java's text. They would refuse every commit, one by one.
        let length = self.commit_metadata.encode_utf16().count();
        if length > MAX_COMMIT_METADATA {
            let what = format!(
                "{length} characters are more than the {MAX_COMMIT_METADATA} that brokers take \
                 (offset.metadata.max.bytes): no commit would succeed"
            );
            return Err(config("commit_metadata", what));
        }
        Ok(())
    }

    /// Refuses answers larger than the client accepts: each would end its connection, for ever.
    pub(crate) fn check_frame(&self, max_frame: usize) -> Result<()> {
        let bytes = self.fetch_max_bytes;
        if bytes.saturating_add(ANSWER_OVERHEAD) <= max_frame {
            return Ok(());
        }
        let what = format!(
            "answers of {bytes} bytes do not fit beside their {ANSWER_OVERHEAD} bytes of description into {max_frame} \
             bytes, the largest answer accepted (max_frame)"
        );
        Err(config("fetch.max.bytes", what))
    }
}

fn longer(long: (&'static str, Duration), short: (&'static str, Duration)) -> Result<()> {
    if long.1 > short.1 {
        return Ok(());
    }
    let what = format!(
        "{} of {:?} must be longer than {} of {:?}",
        long.0, long.1, short.0, short.1
    );
    Err(config(long.0, what))
}

fn config(key: &'static str, what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, what).setting(key)
}

const MAX_LANES: usize = 4096;

/// The characters that brokers take by default in a commit's text.
const MAX_COMMIT_METADATA: usize = 4096;

/// Room for what an answer holds beside records: names, offsets and aborted transactions of its partitions.
const ANSWER_OVERHEAD: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let mut settings = Settings::new(Some("billing".into()), Observers::none());
        settings.topics.insert("orders".into());
        settings
    }

    #[test]
    fn the_defaults_fit_together() {
        settings().check().unwrap();
    }

    #[test]
    fn a_text_that_brokers_refuse_in_each_commit_is_refused_at_build() {
        let mut settings = settings();
        settings.commit_metadata = "m".repeat(4096).into();
        settings.check().unwrap();
        settings.commit_metadata = "å".repeat(4096).into();
        settings.check().unwrap();
        settings.commit_metadata = "m".repeat(4097).into();
        let error = settings.check().unwrap_err().to_string();
        assert!(
            error.contains("commit_metadata") && error.contains("4096"),
            "{error}"
        );
    }

    #[test]
    fn answers_must_fit_into_the_largest_frame() {
        let mut settings = settings();
        settings.check_frame(100 << 20).unwrap();
        settings.fetch_max_bytes = 200 << 20;
        let error = settings.check_frame(100 << 20).unwrap_err().to_string();
        for part in ["fetch.max.bytes", "209715200", "104857600", "max_frame"] {
            assert!(error.contains(part), "{error}");
        }
        settings.fetch_max_bytes = usize::MAX;
        assert!(settings.check_frame(100 << 20).is_err());
    }

    #[test]
    fn a_contradiction_names_both_settings_and_values() {
        let mut settings = settings();
        settings.drain_timeout = Duration::from_secs(60);
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains("rebalance timeout of 60s"), "{error}");
        assert!(error.contains("drain timeout of 60s"), "{error}");
    }

    #[test]
    fn a_group_without_topics_and_a_lane_count_of_zero_are_refused() {
        let mut none = settings();
        none.topics.clear();
        assert_eq!(none.check().unwrap_err().kind(), ErrorKind::Config);
        let mut zero = settings();
        zero.order = Order::Key(0);
        assert_eq!(zero.check().unwrap_err().kind(), ErrorKind::Config);
    }
}
