//! What an answer to a fetch means for each partition in it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{Error, ErrorCode, ErrorKind, Event, Partition, TopicPartition};
use milena_protocol::batch::Batches;
use milena_protocol::fetch::{FetchResponse, FetchedPartition, IsolationLevel};
use milena_protocol::hints::TopicRef;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Asked, Fetcher};
use crate::budget::Pinned;
use crate::chunk::{self, Chunk};
use crate::partition::Place;
use crate::passing::code_passes;
use crate::settings::OffsetReset;
use crate::truncation;

/// What an answer brought.
pub(super) struct Taken {
    /// The bytes of whole batches.
    pub(super) bytes: usize,
    /// The last partition that it held records of.
    pub(super) last: Option<TopicPartition>,
}

/// Finds what was asked for by an entry of the answer.
enum Index<'a> {
    /// An answer lists a handful of partitions, nearly always.
    Few(&'a [Asked]),
    ByName(HashMap<(&'a str, Partition), &'a Asked>),
    ById(HashMap<(Uuid, Partition), &'a Asked>),
}

impl<'a> Index<'a> {
    fn new(asked: &'a [Asked], answer: &FetchResponse<'_>) -> Self {
        if asked.len() <= FEW || answer.partitions.len() <= FEW {
            return Self::Few(asked);
        }
        match answer.partitions.first().map(|entry| entry.topic) {
            Some(TopicRef::Id(_)) => Self::ById(
                asked
                    .iter()
                    .filter_map(|each| Some(((each.entry.topic_id?, each.entry.partition), each)))
                    .collect(),
            ),
            _ => Self::ByName(
                asked
                    .iter()
                    .map(|each| ((&*each.entry.topic, each.entry.partition), each))
                    .collect(),
            ),
        }
    }

    fn find(&self, entry: &FetchedPartition<'_>) -> Option<&'a Asked> {
        match (self, entry.topic) {
            (Self::Few(asked), topic) => asked.iter().find(|asked| {
                asked.entry.partition == entry.partition
                    && topic.is(&asked.entry.topic, asked.entry.topic_id)
            }),
            (Self::ByName(index), TopicRef::Name(name)) => {
                index.get(&(name, entry.partition)).copied()
            }
            (Self::ById(index), TopicRef::Id(id)) => index.get(&(id, entry.partition)).copied(),
            _ => None,
        }
    }
}

impl Fetcher {
    /// Gives each partition what the answer brought it; `max_bytes` were asked for.
    pub(super) fn take(
        &self,
        body: &Bytes,
        answer: &FetchResponse<'_>,
        asked: &[Asked],
        max_bytes: usize,
        now: Instant,
    ) -> Taken {
        let mut pinned: Option<Arc<Pinned>> = None;
        let mut hints = Vec::new();
        let mut all = 0;
        let mut last = None;
        let index = Index::new(asked, answer);
        let has_room = body.len() < max_bytes / 2;
        for entry in &answer.partitions {
            let Some(asked) = index.find(entry) else {
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
                if !asked.at_leader {
                    // A follower may have lost what it had not written yet. Only the leader's log counts.
                    tracing::debug!(partition = %asked.partition.place(), node = %asked.node, "a replica's log parts from what was read");
                    asked.partition.back_to_leader(now);
                    continue;
                }
                // The broker noticed itself that the log was cut (unclean election).
                let end = Some(diverging.end_offset);
                truncation::found(&self.core, &asked.partition, asked.turn, end);
                continue;
            }
            if entry.records.is_empty() && has_room && self.has_more(entry, asked) {
                // Its next batch is larger than what was asked for, and others were served first.
                let most = self.core.settings.fetch_max_bytes;
                asked
                    .partition
                    .ask_for_more(asked.turn, asked.entry.max_bytes, most);
            }
            let bytes = self.records(body, entry, asked, &mut pinned, now);
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

    /// Whether the log holds something to read behind what was asked for.
    fn has_more(&self, entry: &FetchedPartition<'_>, asked: &Asked) -> bool {
        let end = match self.core.settings.isolation {
            IsolationLevel::ReadCommitted => entry.last_stable_offset.or(entry.high_watermark),
            IsolationLevel::ReadUncommitted => entry.high_watermark,
        };
        end.is_some_and(|end| end > asked.entry.offset)
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
                if !self.reset(asked, reset, now) {
                    self.back_off(asked, now);
                }
            }
            _ if code_passes(code) => self.back_off(asked, now),
            _ if code.is_authorization() && self.core.may_leave_out(&asked.partition) => {
                self.back_off(asked, now);
            }
            _ => {
                let error = Error::broker(code).api("Fetch").at(place);
                asked.partition.fail(asked.turn, error);
                self.core.ready.notify_waiters();
            }
        }
    }

    fn reset(&self, asked: &Asked, to: Place, now: Instant) -> bool {
        let backoff = self.core.cluster.backoff();
        let quiet = |times| now + backoff.delay(times);
        let offset = asked.entry.offset;
        let done = asked.partition.reset(asked.turn, offset, to, quiet);
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

/// Up to how many entries are searched one by one.
const FEW: usize = 8;
/// How often in a row a batch may come cut short before that is told.
const CUT_SHORT: u32 = 3;
