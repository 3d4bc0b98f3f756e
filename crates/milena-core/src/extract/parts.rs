//! Extractors of the parts of a record, without decoding.

use std::future::{Future, ready};

use super::{FromRecord, lacks};
use crate::{
    CancelToken, ConsumerRecord, Emitter, Extensions, Headers, Incoming, Offset, Partition,
    ProcessError, SharedRecord, Timestamp, TopicName, TopicPartition,
};

/// The topic from which the record was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic(pub TopicName);

/// Number of this attempt, counted from 1. Attempts made before the record went through a retry
/// topic are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(pub u32);

/// A token that is cancelled when the partition is about to be revoked or the consumer stops.
///
/// A handler that works for a long time should then end soon and leave consistent results. The next
/// owner of the partition reads again the records that are not settled.
///
/// [`CancelToken`] is stricter. It ends this attempt, when it times out or when the drain time is
/// over.
///
/// ```
/// use milena_core::{Outcome, Stopping};
///
/// async fn crawl(Stopping(stopping): Stopping) -> Outcome {
///     for _page in 0..1_000 {
///         if stopping.is_cancelled() {
///             return Outcome::retry("the consumer ends; the next owner begins again");
///         }
///     }
///     Outcome::Ack
/// }
/// # fn check<A>(_: impl milena_core::Handler<A>) {}
/// # check(crawl);
/// ```
#[derive(Clone, Debug)]
pub struct Stopping(pub CancelToken);

macro_rules! extract {
    ($($type:ty: |$incoming:ident| $make:expr;)*) => {
        $(impl<S: Sync> FromRecord<S> for $type {
            fn from_record($incoming: &Incoming, _: &S) -> impl Future<Output = Result<Self, ProcessError>> + Send {
                ready($make)
            }
        })*
    };
}

extract! {
    Incoming: |incoming| Ok(incoming.clone());
    ConsumerRecord: |incoming| Ok(ConsumerRecord::clone(&incoming.record));
    SharedRecord: |incoming| Ok(incoming.record.clone());
    Headers: |incoming| Ok(incoming.record.headers.clone());
    Topic: |incoming| Ok(Topic(incoming.record.topic.clone()));
    TopicName: |incoming| Ok(incoming.record.topic.clone());
    TopicPartition: |incoming| Ok(incoming.record.topic_partition());
    Partition: |incoming| Ok(incoming.record.partition);
    Offset: |incoming| Ok(incoming.record.offset);
    Timestamp: |incoming| incoming.record.timestamp.ok_or_else(|| lacks(incoming, "timestamp"));
    Option<Timestamp>: |incoming| Ok(incoming.record.timestamp);
    Attempt: |incoming| Ok(Attempt(incoming.attempt));
    CancelToken: |incoming| Ok(incoming.cancel.clone());
    Stopping: |incoming| Ok(Stopping(incoming.stopping.clone()));
    Option<Emitter>: |incoming| Ok(incoming.extensions.get::<Emitter>().cloned());
    Extensions: |incoming| Ok(incoming.extensions.clone());
    Emitter: |incoming| incoming.extensions.get::<Emitter>().cloned().ok_or_else(|| {
        ProcessError::fatal("the handler emits records, but no layer sends them; add an `EmitLayer` to the stack")
    });
}
