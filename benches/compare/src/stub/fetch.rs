//! Answers Fetch, versions 4 to 12, with sessions. Sends the encoded batch directly and writes only
//! its offsets.

use std::io::{self, IoSlice, Read, Write};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use kafka_protocol::messages::{FetchRequest, RequestHeader};
use kafka_protocol::protocol::Decodable;

use crate::stub::Stub;
use crate::stub::log::Log;
use crate::stub::wire::{Form, Head};

pub(super) const API: i16 = 1;
pub(super) const VERSIONS: (i16, i16) = (4, 12);

/// The fetch session of one connection.
#[derive(Default)]
pub(super) struct Session {
    /// The id of the session. 0 if there is none.
    id: i32,
    /// The epoch that the next request must have.
    epoch: i32,
    /// The partitions to fetch. The ones that were served last are at the end.
    wanted: Vec<Wanted>,
}

#[derive(Clone)]
struct Wanted {
    /// The topic.
    topic: String,
    /// The partition.
    partition: i32,
    /// The next offset to fetch.
    offset: i64,
    /// The most bytes of an answer for this partition.
    max: usize,
}

/// An answer in parts, which are own bytes and bytes of the log's batch in turn.
pub(super) struct Answer {
    own: Vec<u8>,
    /// The positions in `own` at which bytes of the batch follow, with their number. They begin
    /// after the batch's offset.
    cuts: Vec<(usize, usize)>,
}

pub(super) fn answer(
    stub: &Stub,
    head: &Head,
    from: &mut impl Read,
    session: &mut Session,
) -> io::Result<Answer> {
    let version = head.version;
    // The header is decoded again from its start.
    let mut request = Vec::new();
    request.extend(head.api.to_be_bytes());
    request.extend(version.to_be_bytes());
    request.extend(head.correlation.to_be_bytes());
    from.read_to_end(&mut request)?;
    let mut request = io::Cursor::new(request);
    let header = if version >= 12 { 2 } else { 1 };
    RequestHeader::decode(&mut request, header).map_err(odd)?;
    let request = FetchRequest::decode(&mut request, version).map_err(odd)?;

    let end = Instant::now() + Duration::from_millis(request.max_wait_ms.max(0) as u64);
    let (error, full) = session.update(&request);
    let mut shares = Vec::new();
    if error == 0 {
        shares = session.shares(&stub.log, request.max_bytes);
        while shares.iter().all(|share| share.bytes == 0) && Instant::now() < end {
            std::thread::sleep(
                stub.log
                    .wait()
                    .min(end.saturating_duration_since(Instant::now())),
            );
            shares = session.shares(&stub.log, request.max_bytes);
        }
    }
    if !full {
        shares.retain(|share| share.bytes > 0);
    }
    let whole: usize = shares
        .iter()
        .map(|share| share.bytes / stub.log.batch.len())
        .sum();
    stub.requests.fetch_add(1, Ordering::Relaxed);
    let records = whole as u64 * stub.log.records as u64;
    stub.records.fetch_add(records, Ordering::Relaxed);
    let answer = Answer::encode(head, &stub.log, error, session.id, &shares);
    session.turn(&shares);
    Ok(answer)
}

fn odd(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

/// The bytes that one partition gets.
struct Share {
    /// The partition and the position.
    wanted: Wanted,
    /// The end of its log, which is the high watermark.
    end: i64,
    /// The bytes of batches, of which the last may be cut.
    bytes: usize,
}

impl Session {
    /// Applies the changes of a request. Returns the error code, and true if the answer must name
    /// every partition.
    fn update(&mut self, request: &FetchRequest) -> (i16, bool) {
        let named = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| Wanted {
                topic: topic.topic.to_string(),
                partition: partition.partition,
                offset: partition.fetch_offset,
                max: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
            })
        });
        if request.session_epoch <= 0 {
            let opened = request.session_epoch == 0;
            *self = Self {
                id: if opened {
                    NEXT.fetch_add(1, Ordering::Relaxed)
                } else {
                    0
                },
                epoch: 1,
                wanted: named.collect(),
            };
            return (0, true);
        }
        if self.id == 0 || request.session_id != self.id {
            return (SESSION_NOT_FOUND, false);
        }
        if request.session_epoch != self.epoch {
            return (WRONG_EPOCH, false);
        }
        self.epoch += 1;
        for forgotten in &request.forgotten_topics_data {
            let topic = forgotten.topic.to_string();
            self.wanted.retain(|wanted| {
                wanted.topic != topic || !forgotten.partitions.contains(&wanted.partition)
            });
        }
        for fresh in named {
            let known = self
                .wanted
                .iter_mut()
                .find(|wanted| wanted.partition == fresh.partition && wanted.topic == fresh.topic);
            match known {
                Some(known) => *known = fresh,
                None => self.wanted.push(fresh),
            }
        }
        (0, false)
    }

    /// Distributes bytes like Kafka. Partitions are served in order up to their limits. The first
    /// batch is always whole, and the last one can be cut anywhere.
    fn shares(&self, log: &Log, max: i32) -> Vec<Share> {
        let mut left = usize::try_from(max).unwrap_or(0);
        let mut first = true;
        let share = |wanted: &Wanted| {
            let end = log.end(wanted.partition);
            let begin = wanted.offset / log.records * log.records;
            let there = usize::try_from((end - begin) / log.records).unwrap_or(0);
            let mut room = wanted.max.min(left);
            if first && room > 0 {
                room = room.max(log.batch.len());
            }
            let bytes = room.min(there.saturating_mul(log.batch.len()));
            first &= bytes == 0;
            left = left.saturating_sub(bytes);
            let wanted = wanted.clone();
            Share { wanted, end, bytes }
        };
        self.wanted.iter().map(share).collect()
    }

    /// Moves the partitions that were served behind those that were not.
    fn turn(&mut self, shares: &[Share]) {
        let served = |wanted: &Wanted| {
            let of = |share: &&Share| {
                share.wanted.partition == wanted.partition && share.wanted.topic == wanted.topic
            };
            shares.iter().find(of).is_some_and(|share| share.bytes > 0)
        };
        self.wanted.sort_by_key(served);
    }
}

impl Answer {
    fn encode(head: &Head, log: &Log, error: i16, session: i32, shares: &[Share]) -> Self {
        let version = head.version;
        let form = Form {
            flexible: version >= 12,
        };
        let (mut own, mut cuts) = (vec![0; 4], Vec::new());
        own.extend(head.correlation.to_be_bytes());
        form.put_tags(&mut own);
        own.extend(0i32.to_be_bytes()); // throttle time
        if version >= 7 {
            own.extend(error.to_be_bytes());
            own.extend(session.to_be_bytes());
        }
        let topics = shares.chunk_by(|a, b| a.wanted.topic == b.wanted.topic);
        form.put_len(&mut own, topics.clone().count() as u64);
        for topic in topics {
            let name = topic.first().map(|share| share.wanted.topic.as_bytes());
            form.put_string(&mut own, name.unwrap_or_default());
            form.put_len(&mut own, topic.len() as u64);
            for share in topic {
                own.extend(share.wanted.partition.to_be_bytes());
                own.extend(0i16.to_be_bytes()); // no error
                own.extend(share.end.to_be_bytes()); // high watermark
                own.extend(share.end.to_be_bytes()); // last stable offset
                if version >= 5 {
                    own.extend(0i64.to_be_bytes()); // log start offset
                }
                form.put_len(&mut own, 0); // aborted transactions
                if version >= 11 {
                    own.extend((-1i32).to_be_bytes()); // preferred replica
                }
                form.put_len(&mut own, share.bytes as u64);
                put_batches(&mut own, &mut cuts, log, share);
                form.put_tags(&mut own);
            }
            form.put_tags(&mut own);
        }
        form.put_tags(&mut own);
        let foreign: usize = cuts.iter().map(|(_, bytes)| bytes).sum();
        let len = (own.len() + foreign - 4) as i32;
        for (place, byte) in own.iter_mut().zip(len.to_be_bytes()) {
            *place = byte;
        }
        Self { own, cuts }
    }

    pub(super) fn write(&self, log: &Log, to: &mut impl Write) -> io::Result<()> {
        let (mut slices, mut at) = (Vec::with_capacity(self.cuts.len() * 2 + 1), 0);
        for &(until, bytes) in &self.cuts {
            slices.push(IoSlice::new(self.own.get(at..until).unwrap_or_default()));
            let body = log.batch.get(OFFSET..OFFSET + bytes);
            slices.push(IoSlice::new(body.unwrap_or_default()));
            at = until;
        }
        slices.push(IoSlice::new(self.own.get(at..).unwrap_or_default()));
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            let some = rest.get(..rest.len().min(MOST_SLICES)).unwrap_or_default();
            let written = to.write_vectored(some)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    /// Returns the answer in one piece.
    pub(super) fn whole(&self, log: &Log) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.write(log, &mut bytes)?;
        Ok(bytes)
    }
}

fn put_batches(own: &mut Vec<u8>, cuts: &mut Vec<(usize, usize)>, log: &Log, share: &Share) {
    let mut base = share.wanted.offset / log.records * log.records;
    let mut left = share.bytes;
    while left > 0 {
        let bytes = left.min(log.batch.len());
        let offset = base.to_be_bytes();
        own.extend(offset.get(..bytes.min(OFFSET)).unwrap_or_default());
        if bytes > OFFSET {
            cuts.push((own.len(), bytes - OFFSET));
        }
        base += log.records;
        left -= bytes;
    }
}

static NEXT: AtomicI32 = AtomicI32::new(1);
const SESSION_NOT_FOUND: i16 = 70;
const WRONG_EPOCH: i16 = 71;
/// The length of the offset at the beginning of a batch.
const OFFSET: usize = 8;
/// The most slices that the system accepts at once.
const MOST_SLICES: usize = 1024;
