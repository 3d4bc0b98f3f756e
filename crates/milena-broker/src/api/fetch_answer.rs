//! Fetch answers, encoded by hand. Record bytes are sent as the slices they are stored in, without
//! a copy.

use bytes::{BufMut, Bytes, BytesMut};
use milena_core::{Error, ErrorCode, ErrorKind};
use milena_protocol::batch::HEADER_LEN;

use crate::context::{Answer, Context};
use crate::log::ReadBatches;
use crate::session::{Place, Told};
use crate::transactions::Aborted;

/// The answer for one partition.
#[derive(Clone, Debug)]
pub(super) struct FetchPart {
    /// The topic and partition.
    pub(super) place: Place,
    /// The error. `None` for a successful read.
    pub(super) error: Option<ErrorCode>,
    /// The offsets of the log.
    pub(super) told: Told,
    /// The epoch and end offset at which the client's log diverges from this one (KIP-595). `None`
    /// if it does not.
    pub(super) diverging: Option<(i32, i64)>,
    /// The leader and its epoch, if this broker is not the leader.
    pub(super) leader: Option<(i32, i32)>,
    /// The replica to read from instead (KIP-392).
    pub(super) preferred: Option<i32>,
    /// The aborted transactions among the records, whose records the client must skip.
    pub(super) aborted: Vec<Aborted>,
    /// The records.
    pub(super) records: ReadBatches,
}

pub(super) type Parts = Vec<FetchPart>;

/// Makes an answer that only carries an error.
pub(super) fn refused(context: &Context, code: ErrorCode) -> Answer {
    let code = context.code(code);
    let mut out = Pieces::begin(context);
    out.top(code, 0);
    out.array(0);
    out.tags();
    out.finish(context)
}

/// Makes the whole answer. Consecutive parts of one topic share a topic entry.
pub(super) fn encode(
    context: &Context,
    session_id: i32,
    parts: &[FetchPart],
    committed_only: bool,
) -> Answer {
    let mut out = Pieces::begin(context);
    out.committed_only = committed_only;
    out.top(0, session_id);
    let topics: Vec<&[FetchPart]> = parts
        .chunk_by(|a, b| a.place.topic == b.place.topic && a.place.topic_id == b.place.topic_id)
        .collect();
    out.array(topics.len());
    for parts in topics {
        if let Some(first) = parts.first() {
            out.topic(&first.place);
        }
        out.array(parts.len());
        for part in parts {
            out.part(context, part);
        }
        out.tags();
    }
    out.endpoints(context, parts);
    out.finish(context)
}

/// A frame under construction.
struct Pieces {
    /// The version of the request.
    version: i16,
    /// True if aborted transactions are listed.
    committed_only: bool,
    /// The finished pieces, in order.
    done: Vec<Bytes>,
    /// The bytes in `done`.
    done_len: usize,
    /// The bytes after `done` that are still written to.
    open: BytesMut,
}

impl Pieces {
    /// Begins a frame with the length, the correlation id and the throttle time. The length is
    /// filled in at the end.
    fn begin(context: &Context) -> Self {
        let mut open = BytesMut::with_capacity(512);
        open.put_i32(0);
        open.put_i32(context.correlation_id);
        let mut begun = Self {
            version: context.version,
            committed_only: false,
            done: Vec::new(),
            done_len: 0,
            open,
        };
        begun.tags();
        begun.open.put_i32(context.throttle_ms());
        begun
    }

    fn is_flexible(&self) -> bool {
        self.version >= 12
    }

    /// Writes the error and the session, which exist from version 7 on.
    fn top(&mut self, code: i16, session_id: i32) {
        if self.version >= 7 {
            self.open.put_i16(code);
            self.open.put_i32(session_id);
        }
    }

    /// Writes the topic's name, or its id from version 13 on.
    fn topic(&mut self, place: &Place) {
        if self.version >= 13 {
            self.open.put_slice(place.topic_id.as_bytes());
        } else {
            self.string(&place.topic);
        }
    }

    /// Writes one partition.
    fn part(&mut self, context: &Context, part: &FetchPart) {
        self.open.put_i32(part.place.partition);
        self.open
            .put_i16(part.error.map_or(0, |code| context.code(code)));
        self.open.put_i64(part.told.high_watermark);
        self.open.put_i64(part.told.last_stable_offset);
        if self.version >= 5 {
            self.open.put_i64(part.told.log_start);
        }
        self.aborted(&part.aborted);
        if self.version >= 11 {
            self.open.put_i32(part.preferred.unwrap_or(-1));
        }
        self.records(&part.records);
        if self.is_flexible() {
            self.part_tags(part);
        }
    }

    /// Writes the aborted transactions for a client that reads only committed records, and null for
    /// others.
    fn aborted(&mut self, aborted: &[Aborted]) {
        match (self.committed_only, self.is_flexible()) {
            (true, _) => {
                self.array(aborted.len());
                for each in aborted {
                    self.open.put_i64(each.producer);
                    self.open.put_i64(each.first);
                    self.tags();
                }
            }
            (false, true) => self.open.put_u8(0),
            (false, false) => self.open.put_i32(-1),
        }
    }

    /// Writes the tagged fields of a partition.
    fn part_tags(&mut self, part: &FetchPart) {
        let leader = part.leader;
        self.varint(usize::from(part.diverging.is_some()) + usize::from(leader.is_some()));
        if let Some((epoch, end)) = part.diverging {
            self.open.put_slice(&[0, 13]);
            self.open.put_i32(epoch);
            self.open.put_i64(end);
            self.open.put_u8(0);
        }
        if let Some((leader, epoch)) = leader {
            self.open.put_slice(&[1, 9]);
            self.open.put_i32(leader);
            self.open.put_i32(epoch);
            self.open.put_u8(0);
        }
    }

    /// Writes the records, cut at the size that was read.
    fn records(&mut self, records: &ReadBatches) {
        if self.is_flexible() {
            self.varint(records.size + 1);
        } else {
            self.open
                .put_i32(i32::try_from(records.size).unwrap_or(i32::MAX));
        }
        let mut left = records.size;
        for batch in &records.batches {
            let header = batch.header.get(..left.min(HEADER_LEN)).unwrap_or_default();
            self.open.put_slice(header);
            left -= header.len();
            let body = batch.body.slice(..left.min(batch.body.len()));
            left -= body.len();
            if body.len() < COPIED_BODY {
                self.open.put_slice(&body);
            } else {
                self.share(body);
            }
        }
    }

    /// Adds bytes to the frame without a copy.
    fn share(&mut self, bytes: Bytes) {
        let before = self.open.split().freeze();
        self.done_len += before.len() + bytes.len();
        self.done.push(before);
        self.done.push(bytes);
    }

    /// Writes the addresses of the leaders that were named, and ends the answer (KIP-951).
    fn endpoints(&mut self, context: &Context, parts: &[FetchPart]) {
        let mut nodes: Vec<i32> = parts
            .iter()
            .filter_map(|part| part.leader.map(|(node, _)| node))
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        let nodes: Vec<_> = nodes
            .into_iter()
            .filter_map(|id| context.cluster.node(id))
            .collect();
        if self.version < 16 || nodes.is_empty() {
            self.tags();
            return;
        }
        let outer = std::mem::take(&mut self.open);
        self.array(nodes.len());
        for node in nodes {
            let address = node.address();
            self.open.put_i32(node.id);
            self.string(address.host());
            self.open.put_i32(i32::from(address.port()));
            // No rack and no tagged fields.
            self.open.put_slice(&[0, 0]);
        }
        let field = std::mem::replace(&mut self.open, outer);
        self.open.put_slice(&[1, 0]);
        self.varint(field.len());
        self.open.put_slice(&field);
    }

    /// Writes the length of an array.
    fn array(&mut self, len: usize) {
        if self.is_flexible() {
            self.varint(len + 1);
        } else {
            self.open.put_i32(i32::try_from(len).unwrap_or(i32::MAX));
        }
    }

    /// Writes a string.
    fn string(&mut self, text: &str) {
        if self.is_flexible() {
            self.varint(text.len() + 1);
        } else {
            self.open
                .put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        }
        self.open.put_slice(text.as_bytes());
    }

    /// Writes an empty list of tagged fields in flexible versions.
    fn tags(&mut self) {
        if self.is_flexible() {
            self.open.put_u8(0);
        }
    }

    /// Writes an unsigned varint.
    fn varint(&mut self, number: usize) {
        let mut rest = number;
        while rest >= 0x80 {
            self.open.put_u8((rest as u8) | 0x80);
            rest >>= 7;
        }
        self.open.put_u8(rest as u8);
    }

    /// Fills in the length, and returns the frame.
    fn finish(mut self, context: &Context) -> Answer {
        let total = self.done_len + self.open.len() - 4;
        let Ok(len) = i32::try_from(total) else {
            let what = format!("a Fetch answer of {total} bytes is over 2 GiB");
            return context.unanswerable(&Error::new(ErrorKind::RecordTooLarge, what));
        };
        if !self.open.is_empty() {
            self.done.push(self.open.freeze());
        }
        if let Some(first) = self.done.first_mut() {
            let mut head = BytesMut::from(&first[..]);
            if let Some(prefix) = head.first_chunk_mut::<4>() {
                *prefix = len.to_be_bytes();
            }
            *first = head.freeze();
        }
        Answer::Frame(self.done)
    }
}

/// The size in bytes below which bodies are copied, because a piece of their own would cost more.
const COPIED_BODY: usize = 4 << 10;
