//! Where records go; each is followed to its outcome.

use std::collections::VecDeque;

use milena::{Delivery, Headers, Producer, ProducerRecord, Timestamp};

use super::Produce;
use crate::failure::Failure;
use crate::format::{InRecord, push_header};

/// Where records go; each is followed to its outcome.
pub(super) struct Writer<'a> {
    producer: Producer,
    topic: milena::producer::Topic,
    args: &'a Produce,
    headers: Headers,
    /// Whether nothing but key and value is sent, as far as the arguments say.
    plain: bool,
    waiting: VecDeque<Delivery>,
    taken: u64,
    settled: u64,
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
            settled: 0,
        }
    }

    /// How many records it took.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    pub(super) async fn take(&mut self, record: InRecord<'_>) -> Result<(), Failure> {
        self.taken += 1;
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
        let delivery = enqueued.map_err(|error| failed(self.taken, error))?;
        self.waiting.push_back(delivery);
        if self.waiting.len() > MOST_WAITING {
            self.settle_one().await?;
        }
        Ok(())
    }

    /// Takes note of outcomes that are there.
    pub(super) fn settle(&mut self) -> Result<(), Failure> {
        while let Some(outcome) = self.waiting.front().and_then(Delivery::outcome) {
            self.waiting.pop_front();
            self.settled += 1;
            outcome.map_err(|error| failed(self.settled, error))?;
        }
        Ok(())
    }

    async fn settle_one(&mut self) -> Result<(), Failure> {
        if let Some(first) = self.waiting.pop_front() {
            self.settled += 1;
            first.await.map_err(|error| failed(self.settled, error))?;
        }
        Ok(())
    }

    /// Waits until every record is acknowledged.
    pub(super) async fn end(mut self) -> Result<(), Failure> {
        self.producer.flush().await?;
        self.settle()?;
        while !self.waiting.is_empty() {
            self.settle_one().await?;
        }
        Ok(())
    }
}

fn failed(number: u64, error: milena::Error) -> Failure {
    Failure::from(error).before(format!("record {number}"))
}

const MOST_WAITING: usize = 2_000_000;
