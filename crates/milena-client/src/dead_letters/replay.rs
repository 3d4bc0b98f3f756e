//! Sending letters back to be processed again.

use std::time::Duration;

use milena_core::{Error, ErrorKind, Offset, ProducerRecord, Result, TopicName, TopicPartition};
use milena_producer::Producer;
use tokio::time::{Instant, sleep_until};

use super::DeadLetters;
use super::filter::LetterFilter;
use super::found::FoundLetter;

/// A replay in the making: to where, how fast, and how often at most.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `run`"]
pub struct Replay {
    letters: DeadLetters,
    filter: LetterFilter,
    to: Option<TopicName>,
    per_second: Option<u32>,
    max_replays: u64,
    dry: bool,
}

/// What a replay did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Letters that were sent and acknowledged; in a dry run, those that would be.
    pub replayed: u64,
    /// Letters that were left since they were replayed too often before.
    pub looping: u64,
    /// Letters that were left since they do not tell where they came from, and no topic was named.
    pub homeless: u64,
    /// Letters that could not be sent, by their places in the dead letter topic.
    pub failed: Vec<(TopicPartition, Offset, Error)>,
}

/// What becomes of one letter.
enum Plan {
    Send(ProducerRecord),
    Looping,
    Homeless,
}

impl Replay {
    pub(super) fn new(letters: DeadLetters, filter: LetterFilter) -> Self {
        Self {
            letters,
            filter,
            to: None,
            per_second: None,
            max_replays: 3,
            dry: false,
        }
    }

    /// Sends all to this topic. Default each to the topic that it came from.
    pub fn to(mut self, topic: impl Into<TopicName>) -> Self {
        self.to = Some(topic.into());
        self
    }

    /// At most so many letters per second; zero counts as one. Default as fast as the brokers take them.
    pub fn rate(mut self, per_second: u32) -> Self {
        self.per_second = Some(per_second.max(1));
        self
    }

    /// Leaves letters that were replayed so often before. Default 3: what always comes back needs a person.
    pub fn max_replays(mut self, times: u64) -> Self {
        self.max_replays = times;
        self
    }

    /// Only counts, and sends nothing.
    pub fn dry_run(mut self) -> Self {
        self.dry = true;
        self
    }

    /// Sends the letters that were there when it began, each partition in its order, and waits until brokers have acknowledged them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the dead letter topic itself is named as the target; why the letters cannot be read. Letters that cannot
    /// be sent are in the report.
    ///
    /// # Cancel safety
    /// Dropped, some letters were sent and others not. Letters stay where they are, so that running it again sends all of them again.
    pub async fn run(self) -> Result<ReplayReport> {
        if self.to.as_ref() == Some(self.letters.topic()) {
            let what =
                "dead letters cannot be replayed into their own topic; name another one, or none";
            return Err(Error::new(ErrorKind::Config, what).topic(self.letters.topic()));
        }
        let mut scan = self.letters.scan(self.filter.clone()).await?;
        let producer = self.letters.client.producer().build()?;
        let mut report = ReplayReport::default();
        let mut chunk = Vec::new();
        let mut next = Instant::now();
        while let Some(found) = scan.next().await? {
            let place = (found.record.topic_partition(), found.record.offset);
            match self.plan(&found) {
                Plan::Looping => report.looping += 1,
                Plan::Homeless => report.homeless += 1,
                Plan::Send(_) if self.dry => report.replayed += 1,
                Plan::Send(record) => {
                    chunk.push((place, record));
                    if let Some(per_second) = self.per_second {
                        sleep_until(next).await;
                        next = next.max(Instant::now()) + Duration::from_secs(1) / per_second;
                        send(&producer, &mut chunk, &mut report).await;
                    } else if chunk.len() >= CHUNK {
                        send(&producer, &mut chunk, &mut report).await;
                    }
                }
            }
        }
        send(&producer, &mut chunk, &mut report).await;
        Ok(report)
    }

    fn plan(&self, found: &FoundLetter) -> Plan {
        let Some(letter) = &found.letter else {
            let Some(to) = &self.to else {
                return Plan::Homeless;
            };
            return Plan::Send(found.record.clone().into_record().to(to));
        };
        if letter.replays >= self.max_replays {
            return Plan::Looping;
        }
        match self.to.as_ref().unwrap_or(&letter.topic) {
            // It would come back at once.
            own if own == self.letters.topic() => Plan::Homeless,
            to => Plan::Send(letter.replay(&found.record, to)),
        }
    }
}

async fn send(
    producer: &Producer,
    chunk: &mut Vec<((TopicPartition, Offset), ProducerRecord)>,
    report: &mut ReplayReport,
) {
    if chunk.is_empty() {
        return;
    }
    let (places, records): (Vec<_>, Vec<_>) = chunk.drain(..).unzip();
    let sent = producer.send_all(records).await;
    for ((place, offset), result) in places.into_iter().zip(sent) {
        match result {
            Ok(_) => report.replayed += 1,
            Err(error) => report.failed.push((place, offset, error)),
        }
    }
}

/// How many letters are on their way at once.
const CHUNK: usize = 500;
