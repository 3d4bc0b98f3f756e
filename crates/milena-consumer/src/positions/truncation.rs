//! Handling of logs that were truncated below the position, and of topics that were created again.
//! The policy decides what happens, and records are never lost silently (KIP-320).

use std::sync::Arc;

use milena_core::{Backoff, Error, ErrorKind, Event, Offset, OffsetReset};
use tokio::time::Instant;

use crate::partition::{Cut, FetchFrom, Partition};
use crate::reports::Reports;
use crate::wakes::Wakes;

/// The policy of a consumer for logs that lost records it has read.
pub(crate) struct Truncations {
    /// `auto.offset.reset`.
    policy: OffsetReset,
    /// The backoff before a position is looked up again.
    backoff: Backoff,
    /// The signals to the tasks, for a position that changed or a reader that gets an error.
    wakes: Arc<Wakes>,
    /// The reports of records that were read and are gone.
    reports: Reports,
}

impl Truncations {
    /// Returns the handling of truncated logs by this policy.
    pub(crate) fn new(
        policy: OffsetReset,
        backoff: Backoff,
        wakes: Arc<Wakes>,
        reports: Reports,
    ) -> Self {
        Self {
            policy,
            backoff,
            wakes,
            reports,
        }
    }

    /// Handles a log that was truncated. `end` is the offset at which it diverges from the records
    /// that were read. `None` if the broker could not tell.
    pub(crate) fn found(&self, partition: &Arc<Partition>, turn: u64, end: Option<Offset>) {
        let policy = self.policy;
        let to = match (policy, end) {
            // Like Kafka's clients, continues at the first offset that differs, whatever the policy
            // is except `none`.
            (OffsetReset::None, _) => FetchFrom::Lookup(OffsetReset::None),
            (_, Some(end)) => FetchFrom::At(end),
            (policy, None) => FetchFrom::Lookup(policy),
        };
        let place = partition.place();
        let quiet = |times| Instant::now() + self.backoff.delay(times);
        match partition.cut(turn, end, to, quiet) {
            Cut::Overtaken => return,
            Cut::Unread => {
                tracing::info!(partition = %place, "the log was truncated above the position; the rest is fetched again");
            }
            Cut::Read(from) => {
                tracing::error!(partition = %place, %from, to = ?end, "the log was truncated below the position: records that were read are gone");
                self.reports.emit(|group| Event::LogTruncated {
                    group,
                    partition: place,
                    from: from.to_wire(),
                    to: end.map(Offset::to_wire),
                });
                if policy == OffsetReset::None {
                    let error = Error::new(ErrorKind::LogTruncated, tell(from, end)).at(place);
                    let error = error.setting("auto.offset.reset");
                    let (_, turn) = partition.where_to_fetch();
                    partition.fail(turn, error.offset(end.unwrap_or(from)));
                    self.wakes.wake_receivers();
                }
            }
        }
        self.wakes.wake();
    }

    /// Handles a topic that was deleted and created again under its name. A position in the old
    /// topic means nothing in the new one, so it counts as out of range.
    pub(crate) fn made_again(&self, partition: &Arc<Partition>) {
        // `latest` leaves out records from before the consumer subscribed. All records of the new
        // topic are newer than that.
        let policy = match self.policy {
            OffsetReset::Latest => OffsetReset::Earliest,
            policy => policy,
        };
        let Some(from) = partition.made_again(FetchFrom::Lookup(policy)) else {
            return;
        };
        let place = partition.place();
        tracing::warn!(partition = %place, %from, "the topic was deleted and created again; the position in the old one does not count");
        if policy == OffsetReset::None {
            let what = "the topic was deleted and created again, and auto.offset.reset is none: seek, or set it";
            let error = Error::new(ErrorKind::State, what).at(place).offset(from);
            let (_, turn) = partition.where_to_fetch();
            partition.fail(turn, error.setting("auto.offset.reset"));
            self.wakes.wake_receivers();
        }
        self.wakes.wake();
    }
}

/// Returns the text of the error about a truncated log.
fn tell(from: Offset, end: Option<Offset>) -> String {
    let where_to = match end {
        Some(end) => format!("it diverged at offset {end}"),
        None => "the broker could not say where it diverged".to_owned(),
    };
    format!(
        "the log was truncated below position {from}, and {where_to}: set auto.offset.reset, or seek"
    )
}
