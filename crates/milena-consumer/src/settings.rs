//! All settings of a consumer with their defaults. They are checked once, in `build`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Backoff, CorruptPolicy, Error, ErrorKind, IsolationLevel, LaneStopPolicy, Observers,
    OffsetReset, Order, Recorder, Result, StuckPolicy, Timestamp, TopicName,
};
use milena_lanes::{Clock, Rules, named};

use crate::group::settings::GroupSettings;
use crate::group::signals::Signals;
use crate::group::subscription::Subscription;

#[derive(Clone)]
/// All settings of a consumer. The builder writes them. They do not change after `build`. The
/// setters of the builders document each setting.
pub(crate) struct Settings {
    /// `group.id`. `None` for a consumer without a group.
    pub(crate) group: Option<Arc<str>>,
    /// `group.instance.id`. `None` for a dynamic member.
    pub(crate) instance: Option<Arc<str>>,
    /// The topics that were subscribed to by name, before any later change of the subscription.
    pub(crate) topics: BTreeSet<TopicName>,
    /// Settings of group membership besides the timeouts, such as assignors, pattern and listener.
    pub(crate) membership: GroupSettings,
    /// `session.timeout.ms`. Must be longer than `heartbeat_interval`.
    pub(crate) session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub(crate) heartbeat_interval: Duration,
    /// The time that the coordinator waits for members in a rebalance. Must be longer than
    /// `drain_timeout`.
    pub(crate) rebalance_timeout: Duration,
    /// The time that handlers have to finish their records when a partition is revoked.
    pub(crate) drain_timeout: Duration,
    /// `auto.commit.interval.ms`.
    pub(crate) commit_interval: Duration,
    /// True if the offsets of a handler are not committed automatically.
    pub(crate) manual_commit: bool,
    /// The text that commits carry. Empty for none.
    pub(crate) commit_metadata: Arc<str>,
    /// `auto.offset.reset`.
    pub(crate) offset_reset: OffsetReset,
    /// `isolation.level`.
    pub(crate) isolation: IsolationLevel,
    /// `fetch.max.wait.ms`.
    pub(crate) fetch_max_wait: Duration,
    /// `fetch.min.bytes`.
    pub(crate) fetch_min_bytes: u32,
    /// `fetch.max.bytes`. Must fit into the largest frame that the client accepts.
    pub(crate) fetch_max_bytes: usize,
    /// `max.partition.fetch.bytes`, the bytes to ask of a partition at first.
    pub(crate) partition_fetch_bytes: usize,
    /// The most bytes that fetched records may hold.
    pub(crate) buffer_memory: usize,
    /// The most bytes that one batch may decompress to.
    pub(crate) max_batch_size: usize,
    /// `check.crcs`. True if checksums of batches are verified.
    pub(crate) check_crcs: bool,
    /// The policy for batches that cannot be read.
    pub(crate) on_corrupt: CorruptPolicy,
    /// The records that keep their order while a handler runs.
    pub(crate) order: Order,
    /// The most records of a partition that may be delivered from the oldest unsettled one on.
    pub(crate) max_out_of_order: usize,
    /// The time after which a record that a handler still has is reported.
    pub(crate) max_processing_time: Duration,
    /// The policy for such a record.
    pub(crate) on_stuck: StuckPolicy,
    /// The time that closing may take in all.
    pub(crate) shutdown_timeout: Duration,
    /// The policy for a lane that cannot continue.
    pub(crate) on_lane_stop: LaneStopPolicy,
    /// The number of attempts at a record if no layer retries.
    pub(crate) max_attempts: u32,
    /// The waits between these attempts.
    pub(crate) retry_backoff: Backoff,
    /// The observers of events.
    pub(crate) observers: Observers,
    /// The recorder of attempts. `None` for none.
    pub(crate) recorder: Option<Arc<dyn Recorder>>,
    /// The wall clock. It is user code and may panic.
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

    /// Returns the time of the wall clock.
    pub(crate) fn now(&self) -> Timestamp {
        named("the consumer's clock", || (self.clock)())
    }

    /// Returns the settings of the lanes of a handler.
    pub(crate) fn rules(&self) -> Rules {
        let mut rules = Rules::default();
        rules.group = self.group.clone().unwrap_or_default();
        rules.order = self.order;
        rules.max_attempts = self.max_attempts;
        rules.retry_backoff = self.retry_backoff;
        rules.max_processing_time = self.max_processing_time;
        rules.on_stuck = self.on_stuck;
        rules.on_lane_stop = self.on_lane_stop;
        rules.observers = self.observers.clone();
        rules.recorder.clone_from(&self.recorder);
        rules.clock = Arc::clone(&self.clock);
        rules
    }

    /// Returns the group's name. Empty without a group.
    pub(crate) fn group_name(&self) -> &str {
        self.group.as_deref().unwrap_or_default()
    }

    /// Returns the subscription that the consumer starts with.
    pub(crate) fn subscription(&self) -> Subscription {
        Subscription {
            topics: self.topics.clone(),
            pattern: self.membership.pattern.clone(),
        }
    }

    /// Returns the signals of the group's task in their first state.
    pub(crate) fn signals(&self) -> Signals {
        Signals::new(self.subscription(), self.membership.on_close)
    }

    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the settings and their values.
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
            let what = "no record was written before 1970: use earliest instead";
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
        self.rules().check()?;
        if self.max_out_of_order == 0 {
            let what = "the window must be at least 1 record";
            return Err(config("max.out.of.order", what));
        }
        for (setting, is_zero) in [
            ("heartbeat.interval.ms", self.heartbeat_interval.is_zero()),
            ("auto.commit.interval.ms", self.commit_interval.is_zero()),
            ("buffer.memory", self.buffer_memory == 0),
            ("max.partition.fetch.bytes", self.partition_fetch_bytes == 0),
        ] {
            if is_zero {
                return Err(config(setting, "it must be above zero"));
            }
        }
        // Brokers count UTF-16 units, as Java does, and would refuse every commit with a longer
        // text.
        let length = self.commit_metadata.encode_utf16().count();
        if length > MAX_COMMIT_METADATA {
            let what = format!(
                "{length} characters are more than the {MAX_COMMIT_METADATA} that brokers accept \
                 (offset.metadata.max.bytes): shorten the text, since no commit would succeed"
            );
            return Err(config("commit_metadata", what));
        }
        Ok(())
    }

    /// Refuses settings whose answers could exceed the largest frame that the client accepts. Each
    /// such answer would end its connection, and the next fetch would bring it again.
    pub(crate) fn check_frame(&self, max_frame: usize) -> Result<()> {
        let bytes = self.fetch_max_bytes;
        if bytes.saturating_add(ANSWER_OVERHEAD) <= max_frame {
            return Ok(());
        }
        let what = format!(
            "answers of {bytes} bytes and {ANSWER_OVERHEAD} bytes of overhead exceed {max_frame} bytes, \
             the largest answer accepted (max_frame): lower fetch.max.bytes or raise max_frame"
        );
        Err(config("fetch.max.bytes", what))
    }
}

/// Returns an error unless the first duration is longer than the second.
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

/// The length of a commit's text that brokers accept by default, in UTF-16 units.
const MAX_COMMIT_METADATA: usize = 4096;

/// Bytes of an answer to a fetch besides records, for names, offsets and aborted transactions of
/// its partitions.
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
