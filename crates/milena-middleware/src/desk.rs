//! Where layers write records: tried until a broker has it, its lane waiting meanwhile.

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

/// What all lanes of a layer share that writes records.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    /// What is written, in words.
    pub(crate) what: &'static str,
    /// The records that cannot be written now, and the gate that says so.
    pub(crate) troubles: Troubles,
    pub(crate) backoff: Backoff,
    /// The least that is written of a record, where it is refused for what it is.
    pub(crate) least: Size,
}

/// What came of writing a record.
pub(crate) enum Written {
    /// A broker has it.
    There(RecordMetadata, Size),
    /// The partition is to be given back first.
    GivenBack,
    /// It will never be taken, even in its smallest form.
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

    /// Writes what `make` makes. What may pass by itself is waited for, however long that takes; a record that is refused for what it is
    /// gets smaller, down to the least.
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
        // Told of until this ends, however it ends.
        let mut trouble = self.troubles.of(origin);
        loop {
            let record = make(size, refused.as_ref());
            let to = record.topic.clone();
            // Once begun it is seen through: half a record is none.
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
                Some(Refusal::AtOnce) | Some(Refusal::ByBroker)
                    if refusal == Some(Refusal::AtOnce) || refusals >= TRIES =>
                {
                    tracing::warn!(
                        topic = to.as_str(), origin = %origin.topic_partition(), offset = %origin.offset,
                        error = %reason, "a {what} is refused for what it is"
                    );
                    let Some(smaller) = size.smaller().filter(|smaller| *smaller <= self.least)
                    else {
                        return Written::Refused(error);
                    };
                    (size, refusals, refused) = (smaller, 0, Some(error));
                    continue;
                }
                // A broker refuses a whole batch for one record of it: this one may be an innocent neighbour.
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

/// Awaits `work`, and tells once when it takes long.
async fn told_when_late<T>(work: impl Future<Output = T>, tell: impl FnOnce()) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(ended) = timeout(LATE, &mut work).await {
        return ended;
    }
    tell();
    work.await
}

/// How much of what is known goes into a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Size {
    /// All of it.
    Full,
    /// Without words.
    Short,
    /// Without the value.
    Stub,
    /// Only where it came from, and why.
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

/// How a record is refused that no waiting helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// For what it is, before it was sent.
    AtOnce,
    /// For what it or another record of its batch is.
    ByBroker,
    /// Whatever it is: no topic has such a name, or the sink is closed.
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

/// How often a broker is asked for a record that it refuses before less of it is written.
const TRIES: u32 = 2;
/// How long a broker may take to acknowledge a record before that is told.
const LATE: Duration = Duration::from_secs(3);
