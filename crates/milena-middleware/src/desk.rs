//! Where layers write records: tried until a broker has it, the lane waiting meanwhile.

use std::future::poll_fn;

use milena_core::{
    Backoff, BoxError, CancelToken, ConsumerRecord, Error, ErrorKind, Gate, ProcessError,
    ProducerRecord, RecordMetadata,
};
use tokio::time::sleep;
use tower_service::Service;

use crate::readiness::classify;

/// What all lanes of a layer share that writes records.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    /// What is written, in words.
    pub(crate) what: &'static str,
    /// Closed while it cannot be written.
    pub(crate) gate: Gate,
    pub(crate) backoff: Backoff,
}

impl Desk {
    /// Writes what `make` makes, however long that takes; `None` when the partition is to be given back first.
    ///
    /// Once the broker has said that a record is too large, `make` is asked for a short one.
    pub(crate) async fn write<P>(
        &self,
        mut sink: P,
        origin: &ConsumerRecord,
        stopping: &CancelToken,
        make: impl Fn(Size) -> ProducerRecord,
    ) -> Option<RecordMetadata>
    where
        P: Service<ProducerRecord, Response = RecordMetadata>,
        P::Error: Into<BoxError>,
    {
        let (mut failures, mut size) = (0, Size::Full);
        loop {
            let record = make(size);
            let to = record.topic.clone();
            // Once begun it is seen through: half a record is none.
            let written = async {
                poll_fn(|cx| sink.poll_ready(cx)).await?;
                sink.call(record).await
            };
            let error = match written.await {
                Ok(written) => {
                    self.gate.open();
                    return Some(written);
                }
                Err(error) => classify(error),
            };
            if size == Size::Full && is_too_large(&error) {
                size = Size::Short;
                continue;
            }
            let reason = error.chain();
            let what = self.what;
            tracing::warn!(
                topic = to.as_str(),
                origin = %origin.topic_partition(),
                offset = %origin.offset,
                error = %reason,
                "a {what} cannot be written; its lane waits"
            );
            self.gate
                .close(format!("a {what} cannot be written: {reason}"));
            tokio::select! {
                biased;
                () = stopping.cancelled() => return None,
                () = sleep(self.backoff.delay(failures)) => {}
            }
            failures += 1;
        }
    }
}

/// How much of what is known goes into a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// All of it.
    Full,
    /// What is needed.
    Short,
}

fn is_too_large(error: &ProcessError) -> bool {
    use milena_core::ErrorCode as Code;
    let own = error.source().downcast_ref::<Error>().map(Error::kind);
    matches!(
        own,
        Some(
            ErrorKind::RecordTooLarge
                | ErrorKind::Broker(Code::MESSAGE_TOO_LARGE | Code::RECORD_LIST_TOO_LARGE)
        )
    )
}
