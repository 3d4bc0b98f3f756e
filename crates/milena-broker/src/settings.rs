//! The settings that a cluster is started with.

use std::time::Duration;

use milena_core::WallClock;

use crate::group::Timing;

/// The settings that all brokers of one cluster share. They never change.
/// [`BrokerBuilder`](crate::BrokerBuilder) sets and describes most of them.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The cluster id.
    pub(crate) cluster_id: String,
    /// True if Metadata creates unknown topics.
    pub(crate) auto_create_topics: bool,
    /// The number of partitions of a topic that is created without one.
    pub(crate) default_partitions: i32,
    /// The number of replicas of a partition, unless the request says otherwise.
    pub(crate) default_replication: i16,
    /// The largest batch in bytes, unless the topic or the broker has its own limit.
    pub(crate) max_message_bytes: usize,
    /// The largest request in bytes.
    pub(crate) max_request_bytes: usize,
    /// The size in bytes to trim partitions to. `None` keeps everything.
    pub(crate) retention_bytes: Option<usize>,
    /// True if each record of a batch is checked.
    pub(crate) check_records: bool,
    /// The number of requests that the journal keeps. 0 turns it off.
    pub(crate) journal_capacity: usize,
    /// The time that an empty group waits for more members.
    pub(crate) initial_rebalance_delay: Duration,
    /// The smallest session timeout of a classic member.
    pub(crate) min_session_timeout: Duration,
    /// The largest session timeout of a classic member.
    pub(crate) max_session_timeout: Duration,
    /// `group.version`. 1 serves the consumer protocol.
    pub(crate) group_version: i16,
    /// The timing of members of the consumer protocol.
    pub(crate) consumer_timing: Timing,
    /// The number of fetch sessions that each broker keeps.
    pub(crate) max_fetch_sessions: usize,
    /// The time after which a stopped follower that lacks records leaves the in-sync replicas.
    pub(crate) replica_lag_time_max: Duration,
    /// The time until brokers know a new topic, and until the first coordinator of groups is found.
    pub(crate) propagation: Duration,
    /// The clock for append times.
    pub(crate) clock: WallClock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_id: "milena-embedded-cluster".to_owned(),
            auto_create_topics: false,
            default_partitions: 1,
            default_replication: 1,
            max_message_bytes: (1 << 20) + 12,
            max_request_bytes: 100 << 20,
            retention_bytes: None,
            check_records: true,
            journal_capacity: 4096,
            initial_rebalance_delay: Duration::ZERO,
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(1800),
            group_version: 1,
            consumer_timing: Timing {
                session: Duration::from_secs(45),
                interval: Duration::from_secs(5),
            },
            max_fetch_sessions: 1000,
            replica_lag_time_max: Duration::from_secs(30),
            propagation: Duration::ZERO,
            clock: WallClock::default(),
        }
    }
}
