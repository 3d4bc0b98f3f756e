//! How a consumer is set up: one setter per Kafka setting, checked together in `build`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, Observer, Observers, Recorder, Result, Timestamp, TopicName};
use milena_pool::Cluster;
use milena_protocol::fetch::IsolationLevel;

use crate::assigned::AssignedConsumer;
use crate::consumer::Consumer;
use crate::settings::{CorruptPolicy, LaneStopPolicy, OffsetReset, Order, Settings, StuckPolicy};

/// Sets up a [`Consumer`].
#[must_use = "nothing happens before `build`"]
pub struct ConsumerBuilder {
    cluster: Cluster,
    pub(crate) settings: Settings,
}

/// Sets up an [`AssignedConsumer`].
#[must_use = "nothing happens before `build`"]
pub struct AssignedConsumerBuilder {
    cluster: Cluster,
    settings: Settings,
}

impl ConsumerBuilder {
    pub(crate) fn new(cluster: Cluster, group: Arc<str>) -> Self {
        let mut settings = Settings::new(Some(group), cluster.observers().clone());
        settings.clock = cluster.clock().reader();
        Self { cluster, settings }
    }

    /// The topics to read; required, unless there is a [`topic_pattern`](Self::topic_pattern). Called again, it
    /// replaces.
    pub fn topics<I>(mut self, topics: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        self.settings.topics = topics.into_iter().map(Into::into).collect();
        self
    }

    /// Adds topics to those of [`topics`](Self::topics).
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

    /// `group.instance.id`: makes this a static member, whose restart within the session timeout moves no partitions (KIP-345).
    /// Default none.
    pub fn group_instance_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.settings.instance = Some(id.into());
        self
    }

    /// `session.timeout.ms`: how long the coordinator waits for heartbeats before it gives the partitions to others. Default 45 s, as
    /// Kafka's clients: a passing fault of the network moves nothing.
    ///
    /// A member that did not run for so long, by the clock of timers or by the wall clock, lets its partitions go by itself. One that
    /// only gets no answer keeps them until the coordinator says that they are others'.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.settings.session_timeout = timeout;
        self
    }

    /// `heartbeat.interval.ms`. Default 3 s: a rebalance is noticed soon and costs next to nothing.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.settings.heartbeat_interval = interval;
        self
    }

    /// How long the coordinator waits for members to join again in a rebalance (Kafka's Java client sends `max.poll.interval.ms`).
    /// Default 60 s: handlers never keep a member from joining, save while they drain.
    pub fn rebalance_timeout(mut self, timeout: Duration) -> Self {
        self.settings.rebalance_timeout = timeout;
        self
    }

    /// How long handlers may take to end when their partition is given back or the consumer closes; must be below the rebalance
    /// timeout. Default 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self
    }

    /// `auto.commit.interval.ms`: how often a running handler's offsets are committed. Default 1 s: little is read twice after a crash.
    pub fn commit_interval(mut self, interval: Duration) -> Self {
        self.settings.commit_interval = interval;
        self
    }

    /// `enable.auto.commit` off: nothing that a handler has done is committed by itself, neither each interval nor when partitions are given
    /// back or the consumer closes; [`Consumer::commit`] does. What is received without a handler is never committed by itself. Default
    /// off: a handler's offsets are committed.
    pub fn manual_commit(mut self) -> Self {
        self.settings.manual_commit = true;
        self
    }

    /// A text that goes into each commit, for people and tools; at most 4,096 characters, as brokers take by default
    /// (`offset.metadata.max.bytes`). Default empty.
    pub fn commit_metadata(mut self, text: impl Into<Arc<str>>) -> Self {
        self.settings.commit_metadata = text.into();
        self
    }

    /// `auto.offset.reset`: where to begin without a committed offset, or when it is out of the log's range. Default earliest: a
    /// fresh group loses nothing.
    pub fn auto_offset_reset(mut self, reset: OffsetReset) -> Self {
        self.settings.offset_reset = reset;
        self
    }

    /// Builds the consumer; it joins at its first use.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) naming the settings that do not fit together, and their values.
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

    /// `auto.offset.reset`: where to go on when a position is out of the log's range. Default earliest.
    pub fn auto_offset_reset(mut self, reset: OffsetReset) -> Self {
        self.settings.offset_reset = reset;
        self
    }

    /// `client.rack`: where this consumer is. Leaders then name a replica in the same rack to read from, where there is one in sync
    /// (KIP-392). Default none.
    pub fn client_rack(mut self, rack: impl Into<Arc<str>>) -> Self {
        self.settings.membership.rack = Some(rack.into());
        self
    }

    /// How long handlers may take to end when the consumer closes. Default 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.settings.drain_timeout = timeout;
        self.settings.rebalance_timeout = timeout.saturating_add(Duration::from_secs(1));
        self
    }

    /// Builds the consumer; it reads once partitions are assigned.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) naming the settings that do not fit together, and their values.
    pub fn build(self) -> Result<AssignedConsumer> {
        self.settings.check()?;
        self.settings.check_frame(self.cluster.max_frame())?;
        Ok(AssignedConsumer::new(self.cluster, self.settings))
    }
}

/// The setters that both kinds of consumers have.
macro_rules! shared_setters {
    ($builder:ident) => {
        impl $builder {
            /// `isolation.level`: whether records of open and aborted transactions are seen. Default read_committed.
            pub fn isolation_level(mut self, level: IsolationLevel) -> Self {
                self.settings.isolation = level;
                self
            }

            /// `fetch.max.wait.ms`: how long a broker may wait for `fetch_min_bytes`. Default 500 ms.
            pub fn fetch_max_wait(mut self, wait: Duration) -> Self {
                self.settings.fetch_max_wait = wait;
                self
            }

            /// `fetch.min.bytes`: how many bytes are worth an answer. Default 1: nothing waits at rest.
            pub fn fetch_min_bytes(mut self, bytes: u32) -> Self {
                self.settings.fetch_min_bytes = bytes;
                self
            }

            /// `fetch.max.bytes`: the most bytes of one answer, save for a single larger batch. Default 32 MiB. It must
            /// fit into the largest answer that the client accepts, 100 MiB.
            pub fn fetch_max_bytes(mut self, bytes: usize) -> Self {
                self.settings.fetch_max_bytes = bytes;
                self
            }

            /// `max.partition.fetch.bytes`: how much to ask of a partition at first; it grows with the size of its batches. Default 1 MiB.
            pub fn max_partition_fetch_bytes(mut self, bytes: usize) -> Self {
                self.settings.partition_fetch_bytes = bytes;
                self
            }

            /// The most bytes that fetched records may hold, all partitions together. They count until the last record of their batch is
            /// dropped, wherever it waits: here, behind a busy key, with a handler or with who received it. One batch of each partition
            /// that has none under way is always admitted, so that none starves the others. Default 64 MiB.
            pub fn buffer_memory(mut self, bytes: usize) -> Self {
                self.settings.buffer_memory = bytes;
                self
            }

            /// The most bytes that one batch may decompress to; a larger one is an error. Default 128 MiB.
            pub fn max_batch_size(mut self, bytes: usize) -> Self {
                self.settings.max_batch_size = bytes;
                self
            }

            /// `check.crcs`: whether checksums of batches are checked. Default true.
            pub fn check_crcs(mut self, check: bool) -> Self {
                self.settings.check_crcs = check;
                self
            }

            /// What to do with a batch that cannot be read. Default [`CorruptPolicy::Stop`].
            pub fn on_corrupt(mut self, policy: CorruptPolicy) -> Self {
                self.settings.on_corrupt = policy;
                self
            }

            /// What keeps its order while a handler runs. Default [`Order::Partition`].
            pub fn order(mut self, order: Order) -> Self {
                self.settings.order = order;
                self
            }

            /// How many records of a partition may be delivered from the lowest one on that is not done, with keys or without order. Where
            /// one is so slow that as many wait behind it to be committed, its partition is paused (by `window`), and no other. Default
            /// 10,000: a crash repeats no more than that.
            pub fn max_out_of_order(mut self, records: usize) -> Self {
                self.settings.max_out_of_order = records;
                self
            }

            /// What to do when a lane cannot go on. Default [`LaneStopPolicy::Stop`].
            pub fn on_lane_stop(mut self, policy: LaneStopPolicy) -> Self {
                self.settings.on_lane_stop = policy;
                self
            }

            /// How long a handler may have a record, by attempt, before that is reported, with the route's name and the offset, and again
            /// each time as much has passed. Nothing is lost by it: heartbeats go on for as long as it takes. Default 5 min, as
            /// `max.poll.interval.ms` of Kafka's clients.
            ///
            /// A member of a group that receives is held to the same: where records wait and nobody has received for so long, that is
            /// reported, as of a route `recv`.
            pub fn max_processing_time(mut self, time: Duration) -> Self {
                self.settings.max_processing_time = time;
                self
            }

            /// What to do beside the report when a handler has a record for longer, or nobody receives what waits. Default
            /// [`StuckPolicy::Report`].
            pub fn on_stuck(mut self, policy: StuckPolicy) -> Self {
                self.settings.on_stuck = policy;
                self
            }

            /// How long closing may take in all: draining, committing, leaving. What is not done then is cut off. Default 60 s.
            pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
                self.settings.shutdown_timeout = timeout;
                self
            }

            /// How often a record is tried where no layer retries, before its lane stops. Default 5.
            pub fn max_attempts(mut self, attempts: u32) -> Self {
                self.settings.max_attempts = attempts;
                self
            }

            /// The waits between those attempts. Default 100 ms to 10 s.
            pub fn retry_backoff(mut self, backoff: Backoff) -> Self {
                self.settings.retry_backoff = backoff;
                self
            }

            /// Who is told of fetches, rebalances, commits and pauses. Default those of the cluster.
            pub fn observers(mut self, observers: Observers) -> Self {
                self.settings.observers = observers;
                self
            }

            /// One more who is told.
            pub fn add_observer(mut self, observer: Arc<dyn Observer>) -> Self {
                self.settings.observers = self.settings.observers.with(observer);
                self
            }

            /// Who counts records and attempts, by route. Default nobody.
            pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
                self.settings.recorder = Some(recorder);
                self
            }

            /// The wall clock, which [`Outcome::Hold`](milena_core::Outcome::Hold) is measured by, and by which a member notices that
            /// its machine was suspended. Default the client's.
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
