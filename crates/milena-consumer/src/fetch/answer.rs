//! Applies an answer to a fetch to the partitions in it.

use std::sync::Arc;

use bytes::Bytes;
use milena_core::{
    Error, ErrorCode, ErrorKind, Event, IsolationLevel, OffsetReset, TopicPartition,
};
use milena_fetch::{Budget, Chunk, Pinned, extent};
use milena_protocol::batch::Batches;
use milena_protocol::fetch::{FetchResponse, FetchedPartition};
use tokio::time::Instant;

use super::Fetcher;
use super::asked::Asked;
use super::fetch_set::FetchSet;
use crate::partition::{FetchFrom, FetchedChunk};
use crate::passing::code_passes;

/// The frame of an answer, to which the fetched batches refer.
pub(super) struct Frame<'a> {
    /// Bytes of the answer.
    body: &'a Bytes,
    /// Number of bytes that the request allowed.
    max_bytes: usize,
    /// The memory of the frame. `None` until a batch refers to it. All batches share it.
    pinned: Option<Arc<Pinned>>,
}

impl<'a> Frame<'a> {
    /// Returns the frame of an answer to a request that allowed `max_bytes`.
    pub(super) fn new(body: &'a Bytes, max_bytes: usize) -> Self {
        Self {
            body,
            max_bytes,
            pinned: None,
        }
    }

    /// Returns the memory of the frame. Counts it in the budget with the first call.
    fn pin(&mut self, budget: &Arc<Budget>) -> Arc<Pinned> {
        let size = self.body.len();
        Arc::clone(self.pinned.get_or_insert_with(|| budget.pin(size)))
    }
}

/// Summary of an answer's records.
pub(super) struct Taken {
    /// Number of bytes in complete batches.
    pub(super) bytes: usize,
    /// Last partition that the answer held records of. `None` if it held none.
    pub(super) last: Option<TopicPartition>,
}

impl Fetcher {
    /// Applies each entry of the answer in `frame` to its partition.
    pub(super) fn take(
        &self,
        mut frame: Frame<'_>,
        answer: &FetchResponse<'_>,
        fetch_set: &FetchSet,
        now: Instant,
    ) -> Taken {
        let mut hints = Vec::new();
        let mut all = 0;
        let mut last = None;
        let fetched = answer.partitions.iter().map(|entry| entry.records.len());
        let room = frame.max_bytes.saturating_sub(fetched.sum());
        for entry in &answer.partitions {
            let Some(asked) = fetch_set.find(entry) else {
                continue;
            };
            // What it asks for next depends on this answer.
            asked.partition.touch();
            if entry.error.is_none() && !asked.partition.is_refused() {
                asked.partition.end_asked(now);
            }
            if let Some(code) = entry.error {
                hints.extend(
                    entry
                        .leader
                        .map(|hint| (asked.partition.place().clone(), hint)),
                );
                self.refused(asked, code, now);
                continue;
            }
            if let Some(nearer) = entry.preferred_read_replica
                && asked.at_leader
            {
                let known = self.core.cluster.metadata().broker(nearer).is_some();
                tracing::debug!(partition = %asked.partition.place(), %nearer, known, "the leader names a nearer replica");
                asked.partition.prefer(nearer, known, now);
                if !known {
                    self.core.cluster.request_refresh();
                }
            }
            if let Some(diverging) = entry.diverging {
                if !asked.at_leader {
                    // A follower may have lost records that it had not written to disk. Only the
                    // leader's log counts.
                    tracing::debug!(partition = %asked.partition.place(), node = %asked.node, "a replica's log differs from the records already read: the leader is read instead");
                    asked.partition.back_to_leader(now);
                    continue;
                }
                // The leader reports that its log was truncated (unclean leader election).
                let end = Some(diverging.end_offset);
                self.core
                    .truncations
                    .found(&asked.partition, asked.wish.turn, end);
                continue;
            }
            let has_room = room >= asked.entry.max_bytes as usize;
            if entry.records.is_empty() && has_room && self.has_more(entry, asked) {
                // The answer had room, but the partition's next batch is larger than its part of
                // the request.
                let most = self.core.settings.fetch_max_bytes;
                asked
                    .partition
                    .ask_for_more(asked.wish.turn, asked.entry.max_bytes, most);
            }
            let bytes = self.records(&mut frame, entry, asked, now);
            if bytes > 0 {
                all += bytes;
                last = Some(asked.partition.place());
            }
        }
        self.core.cluster.learn_leaders(hints, &answer.endpoints);
        Taken {
            bytes: all,
            last: last.cloned(),
        }
    }

    /// Returns true if the log holds readable records at or after the requested offset.
    fn has_more(&self, entry: &FetchedPartition<'_>, asked: &Asked) -> bool {
        let end = match self.core.settings.isolation {
            IsolationLevel::ReadCommitted => entry.last_stable_offset.or(entry.high_watermark),
            IsolationLevel::ReadUncommitted => entry.high_watermark,
        };
        end.is_some_and(|end| end > asked.entry.offset)
    }

    /// Queues the records of an entry for their partition. Returns the number of bytes in complete
    /// batches.
    fn records(
        &self,
        frame: &mut Frame<'_>,
        entry: &FetchedPartition<'_>,
        asked: &Asked,
        now: Instant,
    ) -> usize {
        let partition = &asked.partition;
        let extent = match extent(&entry.records) {
            Ok(extent) => extent,
            Err(error) => {
                partition.fail(asked.wish.turn, error);
                self.core.wakes.wake_receivers();
                return 0;
            }
        };
        partition.note_ends(
            asked.wish.turn,
            extent.largest,
            entry.high_watermark,
            // A reader of uncommitted records reads past the last stable offset.
            entry
                .last_stable_offset
                .filter(|_| self.core.settings.isolation == IsolationLevel::ReadCommitted),
        );
        let Some(next) = extent.next else {
            if !entry.records.is_empty() && extent.largest <= asked.entry.max_bytes as usize {
                // A batch that was cut although it would have fitted. No correct broker does this,
                // and asking at once would spin.
                self.back_off(asked, now);
                if partition.cut_short() >= CUT_SHORT {
                    let what = format!(
                        "a record batch of {} bytes is cut short each time it is fetched",
                        extent.largest
                    );
                    let error = Error::new(ErrorKind::Decode, what).offset(asked.entry.offset);
                    partition.fail(asked.wish.turn, error);
                    self.core.wakes.wake_receivers();
                }
            }
            return 0;
        };
        let pinned = frame.pin(&self.core.budget);
        let records = entry.records.slice(..extent.whole.min(entry.records.len()));
        let level = self.core.settings.isolation;
        let records = Batches::checked(records, entry.intact);
        let chunk = Chunk::new(records, entry.aborted.clone(), level, pinned);
        let chunk = match self.core.settings.check_crcs {
            true => chunk,
            false => chunk.unchecked(),
        };
        let fetched = FetchedChunk {
            from: asked.entry.offset,
            chunk,
            next,
            epoch: extent.epoch,
        };
        if partition.fetched(asked.wish.turn, fetched) {
            self.core.wakes.wake_receivers();
        }
        self.core.reports.emit(|group| Event::Received {
            group,
            partition: partition.place(),
            records: extent.records,
            bytes: extent.whole,
        });
        extent.whole
    }

    /// Handles a partition's error code. Most errors pass and are tried again, an offset out of
    /// range resets the position, and the rest goes to the partition's reader.
    fn refused(&self, asked: &Asked, code: ErrorCode, now: Instant) {
        let place = asked.partition.place();
        let error = Error::broker(code).api("Fetch").at(place);
        // The reset of a position is logged and reported by itself.
        let resets = asked.at_leader && code == ErrorCode::OFFSET_OUT_OF_RANGE;
        if !resets && asked.partition.troubled(now, &error) {
            tracing::warn!(node = %asked.node, %error, "a partition cannot be fetched; it is tried again");
        } else {
            tracing::debug!(partition = %place, %code, "a fetch was refused");
        }
        self.core
            .reports
            .fetch_failed(asked.node, Some(place), &error);
        self.core.cluster.note_error(code);
        if !asked.at_leader {
            // Only the leader's refusal counts. A follower may be behind, or its log may begin
            // later.
            asked.partition.back_to_leader(now);
            return;
        }
        match code {
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let reset = match self.core.settings.offset_reset {
                    OffsetReset::None => {
                        let what = "the position is outside the log and auto.offset.reset is none: seek, or set auto.offset.reset";
                        let error =
                            Error::new(ErrorKind::Broker(code), what).offset(asked.entry.offset);
                        asked.partition.fail(asked.wish.turn, error);
                        self.core.wakes.wake_receivers();
                        return;
                    }
                    policy => FetchFrom::Lookup(policy),
                };
                if !self.reset(asked, reset, now) {
                    self.back_off(asked, now);
                }
            }
            _ if code_passes(code) => self.back_off(asked, now),
            _ if code.is_authorization()
                && self.core.assignment.may_leave_out(&asked.partition) =>
            {
                self.back_off(asked, now);
            }
            _ => {
                let error = Error::broker(code).api("Fetch").at(place);
                asked.partition.fail(asked.wish.turn, error);
                self.core.wakes.wake_receivers();
            }
        }
    }

    /// Has the position of a partition looked up again. Returns false if the answer is out of date,
    /// or if records fetched before still wait to be read.
    fn reset(&self, asked: &Asked, to: FetchFrom, now: Instant) -> bool {
        let backoff = self.core.cluster.backoff();
        let quiet = |times| now + backoff.delay(times);
        let offset = asked.entry.offset;
        let done = asked.partition.reset(asked.wish.turn, offset, to, quiet);
        if done {
            self.core.wakes.wake();
        }
        done
    }

    /// Does not fetch the partition again before its backoff is over.
    fn back_off(&self, asked: &Asked, now: Instant) {
        let backoff = self.core.cluster.backoff();
        asked
            .partition
            .back_off(now, |failures| backoff.delay(failures));
    }
}

/// Number of times in a row that a batch may be cut before it is reported.
const CUT_SHORT: u32 = 3;
