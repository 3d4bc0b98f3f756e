//! One Produce request, from the batches that join it to its answer.

use bytes::Bytes;
use milena_core::{Result, TopicPartition};
use milena_protocol::produce::{self, PartitionBatch, ProduceOptions};
use uuid::Uuid;

use crate::network::{LinkId, Network, Wire};
use crate::send::batch::{Batch, Place};
use crate::send::queue::id::QueueId;
use crate::send::window::Share;
use crate::settings::Settings;

/// A batch of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    /// The queue of its partition.
    pub(super) queue: QueueId,
    /// Its place in the order of the partition.
    pub(super) place: Place,
    /// The topic's id as it was sent. The topic may have been deleted and created again since.
    pub(super) topic_id: Option<Uuid>,
}

/// A request that is being built.
pub(super) struct RequestBuilder {
    /// The connection that it goes to.
    link: LinkId,
    /// The most bytes of batches. The first batch may be larger.
    most: usize,
    /// The batches as they are encoded.
    batches: Vec<PartitionBatch>,
    /// The same batches as the send task finds them when the answer comes.
    sent: Vec<Sent>,
    /// The figures so far.
    figures: Figures,
}

/// The figures of a request that the limits of its connection depend on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// The bytes of the batches.
    pub(super) bytes: usize,
    /// The records of the batches.
    pub(super) records: u64,
    /// The open batches that were closed for this request, before they were full.
    pub(super) partial: usize,
    /// True if it holds a full batch.
    pub(super) full: bool,
}

/// A request that is ready to be handed to its connection.
pub(super) struct Request {
    /// The batches, in the order of the request.
    pub(super) sent: Vec<Sent>,
    /// The figures of the request.
    pub(super) figures: Figures,
    /// The version of Produce and the encoded body, or the reason why it cannot be encoded.
    pub(super) body: Result<(i16, Vec<Bytes>)>,
}

/// The answer to a Produce request, or the reason why there is none.
pub(super) struct Answer {
    /// The connection that the request was sent on.
    pub(super) link: LinkId,
    /// The version of Produce that the request was encoded in.
    pub(super) version: i16,
    /// True if the request held a full batch.
    pub(super) full: bool,
    /// The part of the broker's window that the request holds.
    pub(super) share: Share,
    /// The batches, in the order of the request.
    pub(super) sent: Vec<Sent>,
    /// The body of the answer. Empty with `acks=0`.
    pub(super) result: Result<Bytes>,
}

impl RequestBuilder {
    /// Begins a request of at most `most` bytes. Its first batch may be larger.
    pub(super) fn new(link: LinkId, most: usize) -> Self {
        Self {
            link,
            most,
            batches: Vec::new(),
            sent: Vec::new(),
            figures: Figures::default(),
        }
    }

    /// Returns the connection that the request goes to.
    pub(super) fn link(&self) -> LinkId {
        self.link
    }

    /// Returns true if the request holds no batch.
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns true if a batch of `bytes` bytes may join.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.batches.is_empty() || self.figures.bytes + bytes <= self.most
    }

    /// Notes that an open batch was closed for this request.
    pub(super) fn close_partial(&mut self) {
        self.figures.partial += 1;
    }

    /// Adds a sealed batch of `partition`.
    pub(super) fn push(&mut self, queue: QueueId, partition: &TopicPartition, batch: &Batch) {
        let Some(sealed) = &batch.sealed else { return };
        self.figures.bytes += sealed.wire_len();
        self.figures.records += u64::from(batch.count);
        self.sent.push(Sent {
            queue,
            place: batch.place,
            topic_id: None,
        });
        self.batches.push(PartitionBatch {
            topic: partition.topic.clone(),
            topic_id: None,
            partition: partition.partition,
            header: sealed.header(batch.stamp),
            body: sealed.body().clone(),
        });
    }

    /// Encodes the request for a connection.
    pub(super) fn finish(
        mut self,
        wire: &dyn Wire,
        settings: &Settings,
        network: &dyn Network,
    ) -> Request {
        for (batch, sent) in self.batches.iter_mut().zip(&mut self.sent) {
            batch.topic_id = network.topic_id(&batch.topic);
            sent.topic_id = batch.topic_id;
        }
        self.figures.full = self.batches.len() > self.figures.partial;
        Request {
            body: encode(self.batches, wire, settings),
            sent: self.sent,
            figures: self.figures,
        }
    }
}

/// Encodes batches in the highest version that the connection and they allow.
fn encode(
    batches: Vec<PartitionBatch>,
    wire: &dyn Wire,
    settings: &Settings,
) -> Result<(i16, Vec<Bytes>)> {
    let options = ProduceOptions {
        acks: settings.acks.to_wire(),
        timeout: settings.request_timeout,
        transactional_id: None,
    };
    let named = batches.iter().all(|batch| batch.topic_id.is_some());
    let version = wire.version()?;
    // A request names its topics by id (KIP-516) or by name, all alike. If one topic has no id, all
    // go by name.
    let version = if named {
        version
    } else {
        version.min(produce::TOPIC_IDS_FROM - 1)
    };
    Ok((version, produce::encode(version, &options, batches)?))
}
