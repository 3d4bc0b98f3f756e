//! Writes records for layers. A write is retried until a broker has the record, and its lane waits
//! meanwhile.

use std::future::{Future, poll_fn};
use std::time::Duration;

use milena_core::{
    Backoff, BoxError, CancelToken, ConsumerRecord, Error, ErrorCode as Code, ErrorKind, Gate,
    ProcessError, ProducerRecord, RecordMetadata,
};
use tokio::time::{sleep, timeout};
use tower_service::Service;

use crate::readiness::classify;
use crate::trouble::Troubles;

/// The state that all lanes of a record-writing layer share.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    /// The kind of record that is written, for log lines and errors, such as "dead letter".
    pub(crate) what: &'static str,
    /// The records that cannot be written now, and the gate that closes meanwhile.
    pub(crate) troubles: Troubles,
    /// The wait between two tries of one record. 100 ms to 10 s.
    pub(crate) backoff: Backoff,
    /// The smallest form that may be written when the record is refused because of its content.
    pub(crate) least: Size,
}

/// The result of writing a record.
pub(crate) enum Written {
    /// A broker acknowledged the record, which was written in this size.
    There(RecordMetadata, Size),
    /// The consumer must give the partition back before the record could be written.
    GivenBack,
    /// The record was refused even in its smallest allowed form, or no retry can succeed.
    Refused(ProcessError),
}

impl Desk {
    pub(crate) fn new(what: &'static str, gate: impl Into<std::sync::Arc<str>>) -> Self {
        Self {
            what,
            troubles: Troubles::new(Gate::new(gate)),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            least: Size::Short,
        }
    }

    /// Writes the record that `make` builds, and waits until a broker has it.
    ///
    /// Errors that may pass by themselves are retried without limit. A record that is refused
    /// because of its content is made smaller step by step, down to `least`.
    pub(crate) async fn write<P>(
        &self,
        mut sink: P,
        origin: &ConsumerRecord,
        stopping: &CancelToken,
        make: impl Fn(Size, Option<&ProcessError>) -> ProducerRecord,
    ) -> Written
    where
        P: Service<ProducerRecord, Response = RecordMetadata>,
        P::Error: Into<BoxError>,
    {
        let (mut size, mut failures, mut refusals) = (Size::Full, 0, 0);
        let mut refused = None;
        // The trouble ends when this value is dropped, on every path out of this function.
        let mut trouble = self.troubles.of(origin);
        loop {
            let record = make(size, refused.as_ref());
            let to = record.topic.clone();
            // A write that has begun is not cancelled, because the broker may have taken the
            // record.
            let written = async {
                poll_fn(|cx| sink.poll_ready(cx)).await?;
                sink.call(record).await
            };
            let written = told_when_late(written, || {
                let what = self.what;
                tracing::warn!(
                    topic = to.as_str(), origin = %origin.topic_partition(), offset = %origin.offset,
                    "no broker has acknowledged a {what} for {LATE:?}; its lane waits"
                );
                trouble.note(format!("no broker has acknowledged a {what} for {LATE:?}"));
            });
            let error = match written.await {
                Ok(written) => {
                    trouble.written();
                    return Written::There(written, size);
                }
                Err(error) => classify(error),
            };
            let (what, reason) = (self.what, error.chain());
            let refusal = Refusal::of(&error);
            refusals += u32::from(refusal == Some(Refusal::ByBroker));
            match refusal {
                Some(Refusal::ForEver) => return Written::Refused(error),
                // The client's own refusal is certain. A broker's refusal may be due to another
                // record of the batch, so this record is only blamed when it is refused again.
                Some(Refusal::AtOnce) | Some(Refusal::ByBroker)
                    if refusal == Some(Refusal::AtOnce) || refusals >= TRIES =>
                {
                    tracing::warn!(
                        topic = to.as_str(), origin = %origin.topic_partition(), offset = %origin.offset,
                        error = %reason, "a {what} was refused because of its content"
                    );
                    let Some(smaller) = size.smaller().filter(|smaller| *smaller <= self.least)
                    else {
                        return Written::Refused(error);
                    };
                    (size, refusals, refused) = (smaller, 0, Some(error));
                    continue;
                }
                // A broker refuses a whole batch because of one record in it. The cause may be
                // another record of the batch, so this one is tried again in the same size.
                Some(Refusal::ByBroker | Refusal::AtOnce) => {}
                None => {
                    tracing::warn!(
                        topic = to.as_str(), origin = %origin.topic_partition(), offset = %origin.offset,
                        error = %reason, "a {what} cannot be written; its lane waits"
                    );
                    trouble.note(format!("a {what} cannot be written: {reason}"));
                }
            }
            tokio::select! {
                biased;
                () = stopping.cancelled() => return Written::GivenBack,
                () = sleep(self.backoff.delay(failures)) => {}
            }
            failures = failures.saturating_add(1);
        }
    }
}

/// Awaits `work`, and calls `tell` once if it takes longer than `LATE`.
async fn told_when_late<T>(work: impl Future<Output = T>, tell: impl FnOnce()) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(ended) = timeout(LATE, &mut work).await {
        return ended;
    }
    tell();
    work.await
}

/// The amount of known detail that goes into a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// All of it.
    Full,
    /// Without the long texts.
    Short,
    /// Without the value.
    Stub,
    /// Only the origin and the cause.
    Bare,
}

impl Size {
    fn smaller(self) -> Option<Self> {
        match self {
            Self::Full => Some(Self::Short),
            Self::Short => Some(Self::Stub),
            Self::Stub => Some(Self::Bare),
            Self::Bare => None,
        }
    }
}

/// A refusal of a record that waiting does not cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// The client refused the record before sending, because of its content.
    AtOnce,
    /// The broker refused the batch because of this record or another one in it.
    ByBroker,
    /// No content would help. The topic name is invalid, or the sink is closed.
    ForEver,
}

impl Refusal {
    fn of(error: &ProcessError) -> Option<Self> {
        let own = error.source().downcast_ref::<Error>()?;
        match own.kind() {
            ErrorKind::RecordTooLarge => Some(Self::AtOnce),
            ErrorKind::Broker(
                Code::MESSAGE_TOO_LARGE
                | Code::RECORD_LIST_TOO_LARGE
                | Code::INVALID_RECORD
                | Code::INVALID_TIMESTAMP,
            ) => Some(Self::ByBroker),
            ErrorKind::Config
            | ErrorKind::Closed
            | ErrorKind::Broker(Code::INVALID_TOPIC_EXCEPTION) => Some(Self::ForEver),
            _ => None,
        }
    }
}

/// The refusals by a broker after which a smaller form of the record is tried.
const TRIES: u32 = 2;
/// The time without an acknowledgement after which a warning is logged.
const LATE: Duration = Duration::from_secs(3);
