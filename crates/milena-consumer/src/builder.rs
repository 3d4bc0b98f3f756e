//! Builders of consumers. Each has one setter per Kafka setting, and `build` checks all of them
//! together.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Backoff, CorruptPolicy, IsolationLevel, LaneStopPolicy, Observer, Observers, OffsetReset,
    Order, Recorder, Result, StuckPolicy, Timestamp, TopicName,
};
use milena_pool::Cluster;

use crate::assigned::AssignedConsumer;
use crate::consumer::Consumer;
use crate::settings::Settings;

/// Builder of a [`Consumer`].
#[must_use = "nothing happens before `build`"]
pub struct ConsumerBuilder {
    /// The cluster to read from.
    cluster: Cluster,
    /// The settings so far. Checked in `build`.
    pub(crate) settings: Settings,
}

/// Builder of an [`AssignedConsumer`].
#[must_use = "nothing happens before `build`"]
pub struct AssignedConsumerBuilder {
    /// The cluster to read from.
    cluster: Cluster,
    /// The settings so far. Checked in `build`.
    settings: Settings,
}

impl ConsumerBuilder {
    pub(crate) fn new(cluster: Cluster, group: Arc<str>) -> Self {
        let mut settings = Settings::new(Some(group), cluster.observers().clone());
        settings.clock = cluster.clock().reader();
        Self { cluster, settings }
    }

    /// Sets the topics to read, in place of those set before. Required unless a
    /// [`topic_pattern`](Self::topic_pattern) is set.
    pub fn topics<I>(mut self, topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        self.settings.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// Adds topics to those set with [`topics`](Self::topics).
    pub fn add_topics<I>(mut self, topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        self.settings
            .topics
            .extend(topics.into_iter().map(Into::into));
        self
    }

    /// Makes this consumer a static member with this id (`group.instance.id`). If it restarts
    /// within the session timeout, no partitions move (KIP-345). Default none.
    pub fn group_instance_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.settings.instance = Some(id.into());
        self
    }

    /// Sets how long the coordinator waits for heartbeats before it gives this member's partitions
    /// to others (`session.timeout.ms`). Default 45 s, like Kafka's clients, so that a short
    /// network failure moves nothing.
    ///
    /// A member that did not run for this long gives up its partitions by itself. It checks the
    /// timer clock and the wall clock. A member whose heartbeats only get no answer keeps its
    /// partitions until the coordinator says that other members have them.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.settings.session_timeout = timeout;
        self
    }

    /// Sets the time between heartbeats (`heartbeat.interval.ms`). Default 3 s. A rebalance is then
    /// noticed soon, at almost no cost.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.settings.heartbeat_interval = interval;
        self
    }

    /// Sets how long the coordinator waits for members to join again in a rebalance. Kafka's Java
    /// client sends `max.poll.interval.ms` here. Default 60 s. Handlers delay a join only while
    /// they drain, so a long time is not needed.
    pub fn rebalance_timeout(mut self, timeout: Duration) -> Self {
        self.settings.rebalance_timeout = timeout;
        self
    }

    /// Sets how long handlers may take to finish when their partition is revoked or the consumer
    /// closes. Must be below the rebalance timeout. Default 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// Sets how often the offsets of a running handler are committed (`auto.commit.interval.ms`).
    /// Default 1 s, so that few records are read twice after a crash.
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.settings.commit_interval = interval;
        self
    }

    /// Turns automatic commits off, like `enable.auto.commit=false`. Nothing that a handler has
    /// done is then committed at the interval, when partitions are revoked, or when the consumer
    /// closes. Commit with [`Consumer::commit`] instead. By default a handler's offsets are
    /// committed automatically. Records that are received without a handler are never committed
    /// automatically.
    pub fn manual_commit(mut self) -> Self {
        self.settings.manual_commit = true;
        self
    }

    /// Sets a text that is stored with each commit, for people and tools. At most 4,096 characters,
    /// the default limit of brokers (`offset.metadata.max.bytes`). Default empty.
    pub fn commit_metadata(mut self, text: impl Into<Arc<str>>) -> Self {
        self.settings.commit_metadata = text.into();
        self
    }

    /// Sets where to start reading if there is no committed offset, or if it is out of the log's
    /// range (`auto.offset.reset`). Default earliest, so that a new group misses no record.
    pub fn auto_offset_reset(mut self, reset: OffsetReset) -> Self {
        self.settings.offset_reset = reset;
        self
    }

    /// Builds the consumer. It joins the group at its first use.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for settings that contradict each
    /// other. It names the settings and their values.
    pub fn build(self) -> Result<Consumer> {
        self.settings.check()?;
        self.settings.check_frame(self.cluster.max_frame())?;
        Ok(Consumer::new(self.cluster, self.settings))
    }
}

impl AssignedConsumerBuilder {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let mut settings = Settings::new(None, cluster.observers().clone());
        settings.clock = cluster.clock().reader();
        Self { cluster, settings }
    }

    /// Sets where to continue when a position is out of the log's range (`auto.offset.reset`).
    /// Default earliest.
    pub fn auto_offset_reset(mut self, reset: OffsetReset) -> Self {
        self.settings.offset_reset = reset;
        self
    }

    /// Sets the rack of this consumer (`client.rack`). Leaders then name an in-sync replica in the
    /// same rack to read from, if there is one (KIP-392). Default none.
    pub fn client_rack(mut self, rack: impl Into<Arc<str>>) -> Self {
        self.settings.membership.rack = Some(rack.into());
        self
    }

    /// Sets how long handlers may take to finish when the consumer closes. Default 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        // `Settings::check` wants the rebalance timeout to be longer, and without a group it is
        // unused.
        self.settings.rebalance_timeout = timeout.saturating_add(Duration::from_secs(1));
        self
    }

    /// Builds the consumer. It reads once partitions are assigned.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for settings that contradict each
    /// other. It names the settings and their values.
    pub fn build(self) -> Result<AssignedConsumer> {
        self.settings.check()?;
        self.settings.check_frame(self.cluster.max_frame())?;
        Ok(AssignedConsumer::new(self.cluster, self.settings))
    }
}

/// Setters that both kinds of consumers have.
macro_rules! shared_setters {
    ($builder:ident) => {
        impl $builder {
            /// Sets whether records of open and aborted transactions are returned
            /// (`isolation.level`). Default read_committed, which returns neither.
            pub fn isolation_level(mut self, level: IsolationLevel) -> Self {
                self.settings.isolation = level;
                self
            }

            /// Sets how long a broker may wait until it has `fetch_min_bytes` to answer with
            /// (`fetch.max.wait.ms`). Default 500 ms.
            pub fn fetch_max_wait(mut self, wait: Duration) -> Self {
                self.settings.fetch_max_wait = wait;
                self
            }

            /// Sets how many bytes a broker collects before it answers (`fetch.min.bytes`). Default
            /// 1, so that no record waits.
            pub fn fetch_min_bytes(mut self, bytes: u32) -> Self {
                self.settings.fetch_min_bytes = bytes;
                self
            }

            /// Sets the most bytes of one answer (`fetch.max.bytes`). A single batch that is larger
            /// is still returned. Default 32 MiB. The value must fit into the largest answer that
            /// the client accepts, which is 100 MiB by default.
            pub fn fetch_max_bytes(mut self, bytes: usize) -> Self {
                self.settings.fetch_max_bytes = bytes;
                self
            }

            /// Sets how many bytes to ask of a partition at first (`max.partition.fetch.bytes`).
            /// The amount grows with the size of the partition's batches. Default 1 MiB.
            pub fn max_partition_fetch_bytes(mut self, bytes: usize) -> Self {
                self.settings.partition_fetch_bytes = bytes;
                self
            }

            /// Sets the most bytes that fetched records may hold, for all partitions together. A
            /// batch counts until its last record is dropped, whether that waits in a queue or
            /// behind a busy key, or is with a handler or the program. One batch is always allowed
            /// for each partition that has none, so that no partition starves another. Default 64
            /// MiB.
            pub fn buffer_memory(mut self, bytes: usize) -> Self {
                self.settings.buffer_memory = bytes;
                self
            }

            /// Sets the most bytes that one batch may decompress to. A larger one is an error. A
            /// value over 128 MiB also accepts zstd windows of that size, up to 2 GiB. Default 128
            /// MiB.
            pub fn max_batch_size(mut self, bytes: usize) -> Self {
                self.settings.max_batch_size = bytes;
                self
            }

            /// Sets whether checksums of batches are verified (`check.crcs`). Default true.
            pub fn check_crcs(mut self, check: bool) -> Self {
                self.settings.check_crcs = check;
                self
            }

            /// Sets the policy for a batch that cannot be read. Default [`CorruptPolicy::Stop`].
            pub fn on_corrupt(mut self, policy: CorruptPolicy) -> Self {
                self.settings.on_corrupt = policy;
                self
            }

            /// Sets which records keep their order while a handler runs. Default
            /// [`Order::Partition`].
            pub fn order(mut self, order: Order) -> Self {
                self.settings.order = order;
                self
            }

            /// Sets how many records of a partition may be delivered ahead of its oldest unfinished
            /// record. This matters for [`Order::Key`] and [`Order::Unordered`]. If one record is
            /// so slow that this many records wait behind it for their commit, its partition is
            /// paused (holder `window`), and no other partition. Default 10,000. A crash repeats no
            /// more records than that.
            pub fn max_out_of_order(mut self, records: usize) -> Self {
                self.settings.max_out_of_order = records;
                self
            }

            /// Sets the policy for a lane that cannot continue. Default [`LaneStopPolicy::Stop`].
            pub fn on_lane_stop(mut self, policy: LaneStopPolicy) -> Self {
                self.settings.on_lane_stop = policy;
                self
            }

            /// Sets how long one attempt of a handler may have a record before that is reported.
            /// The report names the route and the offset, and is repeated each time this much time
            /// has passed again. Only the report depends on this time, since heartbeats continue
            /// for as long as the handler takes. Default 5 min, like `max.poll.interval.ms` of
            /// Kafka's clients.
            ///
            /// The same limit holds for a group member that receives without a handler. If records
            /// wait and no task has received for this long, that is reported under the route name
            /// `recv`.
            pub fn max_processing_time(mut self, time: Duration) -> Self {
                self.settings.max_processing_time = time;
                self
            }

            /// Sets what to do in addition to the report when a handler has a record for too long,
            /// or when waiting records are not received. Default [`StuckPolicy::Report`].
            pub fn on_stuck(mut self, policy: StuckPolicy) -> Self {
                self.settings.on_stuck = policy;
                self
            }

            /// Sets how long closing may take in all, with draining, committing and leaving. What
            /// is not done then is cut off. Default 60 s.
            pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
                self.settings.shutdown_timeout = timeout;
                self
            }

            /// Sets how often a record is tried before its lane stops. Used only if no layer
            /// retries. Default 5.
            pub fn max_attempts(mut self, attempts: u32) -> Self {
                self.settings.max_attempts = attempts;
                self
            }

            /// Sets the waits between these attempts. Default 100 ms to 10 s.
            pub fn retry_backoff(mut self, backoff: Backoff) -> Self {
                self.settings.retry_backoff = backoff;
                self
            }

            /// Sets the observers of fetches, rebalances, commits and pauses. Default those of the
            /// cluster.
            pub fn observers(mut self, observers: Observers) -> Self {
                self.settings.observers = observers;
                self
            }

            /// Adds an observer to those set before.
            pub fn add_observer(mut self, observer: Arc<dyn Observer>) -> Self {
                self.settings.observers = self.settings.observers.with(observer);
                self
            }

            /// Sets the recorder that counts records and attempts by route. Default none.
            pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
                self.settings.recorder = Some(recorder);
                self
            }

            /// Sets the wall clock. [`Outcome::Hold`](milena_core::Outcome::Hold) is measured by
            /// it, and a member uses it to notice that its machine was suspended. Default the
            /// client's clock.
            pub fn clock(mut self, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
                self.settings.clock = Arc::new(read);
                self
            }
        }

        impl fmt::Debug for $builder {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($builder))
                    .field("group", &self.settings.group_name())
                    .field("topics", &self.settings.topics)
                    .finish_non_exhaustive()
            }
        }
    };
}
shared_setters!(ConsumerBuilder);
shared_setters!(AssignedConsumerBuilder);
