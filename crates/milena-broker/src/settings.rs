//! What a broker was told at its start: sizes, waits, and where time comes from.

use std::time::Duration;

use milena_core::WallClock;

use crate::group::Timing;

/// The settings that all brokers of one cluster share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) cluster_id: String,
    pub(crate) auto_create_topics: bool,
    pub(crate) default_partitions: i32,
    pub(crate) default_replication: i16,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_request_bytes: usize,
    pub(crate) retention_bytes: Option<usize>,
    pub(crate) check_records: bool,
    pub(crate) journal_capacity: usize,
    pub(crate) initial_rebalance_delay: Duration,
    pub(crate) min_session_timeout: Duration,
    pub(crate) max_session_timeout: Duration,
    /// `group.version`: 1 where the consumer protocol is finalised.
    pub(crate) group_version: i16,
    pub(crate) consumer_timing: Timing,
    pub(crate) max_fetch_sessions: usize,
    pub(crate) replica_lag_time_max: Duration,
    /// How long after its making a topic is unknown to brokers, and a group's first coordinator is not there.
    pub(crate) propagation: Duration,
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
