//! What an answer to a fetch means for each partition in it.

use std::sync::Arc;

use bytes::Bytes;
use milena_core::{Error, ErrorCode, ErrorKind, Event};
use milena_protocol::batch::Batches;
use milena_protocol::fetch::{FetchResponse, FetchedPartition, IsolationLevel};
use tokio::time::Instant;

use super::{Asked, Fetcher};
use crate::budget::Pinned;
use crate::chunk::{self, Chunk};
use crate::partition::Place;
use crate::settings::OffsetReset;
use crate::truncation;

impl Fetcher {
    /// Gives each partition what the answer brought it; the bytes of whole batches.
    pub(super) fn take(
        &self,
        body: &Bytes,
        answer: &FetchResponse<'_>,
        asked: &[Asked],
        now: Instant,
    ) -> usize {
        let mut pinned: Option<Arc<Pinned>> = None;
        let mut bytes = 0;
        let mut hints = Vec::new();
        for entry in &answer.partitions {
            // An answer lists a handful of partitions, nearly always those asked for in this order.
            let Some(asked) = asked.iter().find(|asked| {
                asked.entry.partition == entry.partition
                    && entry.topic.is(&asked.entry.topic, asked.entry.topic_id)
            }) else {
                continue;
            };
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
                // The broker noticed itself that the log was cut (unclean election).
                let end = Some(diverging.end_offset);
                truncation::found(&self.core, &asked.partition, asked.turn, end);
                continue;
            }
            bytes += self.records(body, entry, asked, &mut pinned, now);
        }
        self.core.cluster.learn_leaders(hints, &answer.endpoints);
        bytes
    }

    fn records(
        &self,
        body: &Bytes,
        entry: &FetchedPartition<'_>,
        asked: &Asked,
        pinned: &mut Option<Arc<Pinned>>,
        now: Instant,
    ) -> usize {
        let partition = &asked.partition;
        let extent = match chunk::extent(&entry.records) {
            Ok(extent) => extent,
            Err(error) => {
                partition.fail(asked.turn, error);
                self.core.ready.notify_waiters();
                return 0;
            }
        };
        partition.note_ends(
            asked.turn,
            extent.largest,
            entry.high_watermark,
            // Who reads uncommitted records too is behind their end.
            entry
                .last_stable_offset
                .filter(|_| self.core.settings.isolation == IsolationLevel::ReadCommitted),
        );
        let Some(next) = extent.next else {
            if !entry.records.is_empty() && extent.largest <= asked.entry.max_bytes as usize {
                // A batch cut short that would have fitted: never from an honest broker, and asking at once would spin.
                self.back_off(asked, now);
                if partition.cut_short() >= CUT_SHORT {
                    let what = format!(
                        "a record batch of {} bytes is cut short each time it is fetched",
                        extent.largest
                    );
                    let error = Error::new(ErrorKind::Decode, what).offset(asked.entry.offset);
                    partition.fail(asked.turn, error);
                    self.core.ready.notify_waiters();
                }
            }
            return 0;
        };
        let pinned = pinned.get_or_insert_with(|| self.core.budget.pin(body.len()));
        let records = entry.records.slice(..extent.whole.min(entry.records.len()));
        let level = self.core.settings.isolation;
        let records = Batches::checked(records, entry.intact);
        let chunk = Chunk::new(records, entry.aborted.clone(), level, Arc::clone(pinned));
        let chunk = match self.core.settings.check_crcs {
            true => chunk,
            false => chunk.unchecked(),
        };
        if partition.fetched(asked.turn, asked.entry.offset, chunk, next, extent.epoch) {
            self.core.ready.notify_waiters();
        }
        self.core.observers().emit(|| Event::Received {
            group: self.core.settings.group_name(),
            partition: partition.place(),
            records: extent.records,
            bytes: extent.whole,
        });
        extent.whole
    }

    /// One partition's error: most pass, out of range resets, the rest is its reader's to hear.
    fn refused(&self, asked: &Asked, code: ErrorCode, now: Instant) {
        let place = asked.partition.place();
        let error = Error::broker(code).api("Fetch").at(place);
        // A position that is reset has a story and an event of its own.
        let resets = asked.at_leader && code == ErrorCode::OFFSET_OUT_OF_RANGE;
        if !resets && asked.partition.troubled(now, &error) {
            tracing::warn!(node = %asked.node, %error, "a partition cannot be fetched; it is tried again");
        } else {
            tracing::debug!(partition = %place, %code, "a fetch was refused");
        }
        self.core.tell_fetch_failed(asked.node, Some(place), &error);
        self.core.cluster.note_error(code);
        if !asked.at_leader {
            // Only the leader's word counts: a follower may be behind, or begin later.
            asked.partition.back_to_leader(now);
            return;
        }
        match code {
            ErrorCode::OFFSET_OUT_OF_RANGE => {
                let reset = match self.core.settings.offset_reset {
                    OffsetReset::None => {
                        let what = "the position is out of the log's range and auto.offset.reset is none: seek, or set it";
                        let error =
                            Error::new(ErrorKind::Broker(code), what).offset(asked.entry.offset);
                        asked.partition.fail(asked.turn, error);
                        self.core.ready.notify_waiters();
                        return;
                    }
                    policy => Place::Lookup(policy),
                };
                if !self.reset(asked, reset) {
                    self.back_off(asked, now);
                }
            }
            _ if code.is_retriable() || code.is_stale_metadata() => self.back_off(asked, now),
            _ => {
                asked
                    .partition
                    .fail(asked.turn, Error::broker(code).api("Fetch"));
                self.core.ready.notify_waiters();
            }
        }
    }

    fn reset(&self, asked: &Asked, to: Place) -> bool {
        let done = asked.partition.reset(asked.turn, asked.entry.offset, to);
        if done {
            self.core.wake();
        }
        done
    }

    fn back_off(&self, asked: &Asked, now: Instant) {
        let backoff = self.core.cluster.backoff();
        asked
            .partition
            .back_off(now, |failures| backoff.delay(failures));
    }
}

/// How often in a row a batch may come cut short before that is told.
const CUT_SHORT: u32 = 3;
