//! The writer of records. It follows each record to its outcome.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::Duration;

use milena::{
    Delivery, Error, ErrorKind, Headers, Persistence, Producer, ProducerRecord, Timestamp,
};
use tokio::time::{sleep, timeout};

use super::outcomes::Outcomes;
use super::{AFTER_SIGNAL, Produce};
use crate::failure::Failure;
use crate::format::{InRecord, push_header};
use crate::signals::Signals;

/// The producer, and the records that it has not answered yet.
pub(super) struct Writer<'a> {
    /// The producer.
    producer: Producer,
    /// The producer's handle for the topic of the command line.
    topic: milena::producer::Topic,
    /// The options of the command.
    args: &'a Produce,
    /// The headers that every record gets.
    headers: Headers,
    /// True if the options ask for nothing but key and value, which is the faster way to send.
    plain: bool,
    /// Records without an outcome yet, by their number, oldest first. At most [`MOST_WAITING`].
    waiting: VecDeque<(u64, Delivery)>,
    /// The number of records taken.
    taken: u64,
    /// The outcomes so far.
    outcomes: Outcomes,
}

impl<'a> Writer<'a> {
    pub(super) fn new(producer: &Producer, args: &'a Produce) -> Self {
        let mut headers = Headers::new();
        for header in &args.headers {
            push_header(&mut headers, header.as_bytes());
        }
        Self {
            topic: producer.topic(args.topic.as_str()),
            plain: args.partition.is_none() && headers.is_empty(),
            headers,
            producer: producer.clone(),
            args,
            waiting: VecDeque::new(),
            taken: 0,
            outcomes: Outcomes::default(),
        }
    }

    /// Returns the number of records taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Takes a record of the command line.
    pub(super) async fn value(&mut self, value: Option<&[u8]>) {
        self.take(InRecord {
            value: value.map(Cow::Borrowed),
            ..InRecord::default()
        })
        .await;
    }

    /// Sends a record. A failure is reported at the [end](Self::end).
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the record is not sent.
    pub(super) async fn take(&mut self, record: InRecord<'_>) {
        let key = match &self.args.key {
            Some(key) => Some(key.as_bytes()),
            None => record.key.as_deref(),
        };
        let plain = self.plain
            && record.topic.is_none()
            && record.partition.is_none()
            && record.timestamp.is_none()
            && record.headers.is_none();
        let enqueued = match plain {
            true => self.topic.enqueue(key, record.value.as_deref()).await,
            false => {
                let topic = record.topic.as_deref().unwrap_or(&self.args.topic);
                let mut sent = ProducerRecord::new(topic);
                sent.record.key = key.map(|key| key.to_vec().into());
                sent.record.value = record.value.map(|value| value.into_owned().into());
                sent.record.timestamp = record.timestamp.map(Timestamp::from_millis);
                sent.record.headers = record.headers.unwrap_or_default();
                for header in self.headers.iter() {
                    match header.value {
                        Some(value) => {
                            let headers = &mut sent.record.headers;
                            headers.push(header.key.to_vec(), value.to_vec());
                        }
                        None => sent.record.headers.push_null(header.key.to_vec()),
                    }
                }
                if let Some(partition) = self.args.partition.or(record.partition) {
                    sent = sent.partition(partition);
                }
                self.producer.enqueue(sent).await
            }
        };
        self.taken += 1;
        match enqueued {
            Ok(delivery) => self.waiting.push_back((self.taken, delivery)),
            Err(error) => self.outcomes.note::<()>(self.taken, Err(error)),
        }
        if self.waiting.len() > MOST_WAITING
            && let Some((number, first)) = self.waiting.front_mut()
        {
            let outcome = first.await;
            self.outcomes.note(*number, outcome);
            self.waiting.pop_front();
        }
    }

    /// Takes in the outcomes that are there. Returns true if a record failed.
    pub(super) fn settle(&mut self) -> bool {
        while let Some((number, outcome)) = self
            .waiting
            .front()
            .and_then(|(number, first)| Some((*number, first.outcome()?)))
        {
            self.waiting.pop_front();
            self.outcomes.note(number, outcome);
        }
        self.outcomes.has_failures()
    }

    /// Waits until every record has its outcome, and prints those that failed. Returns the number
    /// of acknowledged records.
    ///
    /// The remaining records are given up if none gets its outcome within `limit`, or a few seconds
    /// after a signal.
    pub(super) async fn end(
        mut self,
        signals: &Signals,
        limit: Duration,
    ) -> (u64, Result<(), Failure>) {
        // The flush runs besides the wait for outcomes. It sends batches that would linger, and its
        // own result is of no interest.
        let producer = self.producer.clone();
        let flushing = tokio::spawn(async move { drop(producer.flush().await) });
        {
            let impatient = async {
                signals.asked().await;
                sleep(limit.min(AFTER_SIGNAL)).await;
            };
            let mut impatient = std::pin::pin!(impatient);
            self.settle();
            while let Some((number, first)) = self.waiting.front_mut() {
                tokio::select! {
                    outcome = first => self.outcomes.note(*number, outcome),
                    () = sleep(limit) => break,
                    () = &mut impatient => break,
                }
                self.waiting.pop_front();
                self.settle();
            }
        }
        flushing.abort();
        let gave_up = !self.waiting.is_empty();
        if gave_up {
            let _ = timeout(AFTER_SIGNAL, self.producer.close(Duration::ZERO)).await;
            self.settle();
            // If even the close timed out, some records are left without an outcome.
            for (number, _) in std::mem::take(&mut self.waiting) {
                let what = "the producer was closed before it knew the outcome of the record";
                let error = Error::new(ErrorKind::Timeout, what);
                let error = error.with_persistence(Persistence::PossiblyWritten);
                self.outcomes.note::<()>(number, Err(error));
            }
        }
        (self.outcomes.acknowledged(), self.outcomes.told(gave_up))
    }
}

/// The largest number of records without an outcome. It bounds the memory for them.
const MOST_WAITING: usize = 2_000_000;
