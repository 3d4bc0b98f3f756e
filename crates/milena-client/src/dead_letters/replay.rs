//! Sending letters back to be processed again.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_core::{
    Error, ErrorKind, Offset, Partition, ProducerRecord, Result, TopicName, TopicPartition,
};
use milena_middleware::dead_letter::Letter;
use milena_producer::Producer;
use tokio::time::{Instant, sleep_until};

use super::DeadLetters;
use super::filter::LetterFilter;
use super::found::FoundLetter;
use super::marks::{Marks, marks};

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
    again: bool,
    by_key: bool,
}

/// What a replay did.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Letters that were sent and acknowledged; in a dry run, those that would be.
    pub replayed: u64,
    /// Letters that were left since an earlier replay sent them.
    pub already: u64,
    /// Letters that were left since their value was [left out](milena_middleware::dead_letter::Refused) when they were written.
    pub stubs: u64,
    /// Letters that were left since they were replayed too often before.
    pub looping: u64,
    /// Letters that were left since they do not tell where they came from, and no topic was named.
    pub homeless: u64,
    /// Letters that could not be sent, by their places in the dead letter topic.
    pub failed: Vec<(TopicPartition, Offset, Error)>,
    /// Why it ended early: letters that were sent could not be marked in the dead letter topic, and another replay would send them again.
    pub unmarked: Option<Error>,
}

/// What becomes of one letter.
enum Plan {
    Send(ProducerRecord),
    Already,
    Stub,
    Looping,
    Homeless,
}

/// What is known of the topics at both ends.
#[derive(Default)]
struct Known {
    /// The letters that an earlier replay sent.
    marks: Marks,
    /// How many partitions each target has.
    partitions: BTreeMap<TopicName, usize>,
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
            again: false,
            by_key: false,
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

    /// Sends letters again, too, that an earlier replay sent. Default not: it marked them in the dead letter topic.
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Lets the producer choose partitions, by the letters' keys. Default the partition that each letter came from where it goes back to its
    /// own topic, since another producer's partitioner may have chosen it.
    pub fn by_key(mut self) -> Self {
        self.by_key = true;
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
    /// Dropped, some letters were sent and others not. What was sent is marked in the dead letter topic, up to 500 letters at a time, so that
    /// running it again goes on behind them.
    pub async fn run(self) -> Result<ReplayReport> {
        if self.to.as_ref() == Some(self.letters.topic()) {
            let what =
                "dead letters cannot be replayed into their own topic; name another one, or none";
            return Err(Error::new(ErrorKind::Config, what).topic(self.letters.topic()));
        }
        let mut known = Known::default();
        if !self.again {
            let all = LetterFilter::new();
            // Marks are written behind their letters.
            let all = match self.filter.since {
                Some(since) => all.since(since),
                None => all,
            };
            let mut marks = self.letters.scan(all).await?;
            while let Some(record) = marks.record().await? {
                known.marks.read(&record);
            }
        }
        let mut scan = self.letters.scan(self.filter.clone()).await?;
        let producer = self.letters.client.producer().build()?;
        let mut report = ReplayReport::default();
        // The first goes alone: by it a topic that takes no marks is found out.
        let mut most = 1;
        let mut chunk = Vec::new();
        let mut next = Instant::now();
        while let Some(found) = scan.next().await? {
            let place = (found.record.topic_partition(), found.record.offset);
            match self.plan(&found, &mut known).await {
                Plan::Already => report.already += 1,
                Plan::Stub => report.stubs += 1,
                Plan::Looping => report.looping += 1,
                Plan::Homeless => report.homeless += 1,
                Plan::Send(_) if self.dry => report.replayed += 1,
                Plan::Send(record) => {
                    chunk.push((place, record));
                    if let Some(per_second) = self.per_second {
                        sleep_until(next).await;
                        next = next.max(Instant::now()) + Duration::from_secs(1) / per_second;
                        self.send(&producer, &mut chunk, &mut report).await;
                    } else if chunk.len() >= most {
                        self.send(&producer, &mut chunk, &mut report).await;
                        most = CHUNK;
                    }
                    if report.unmarked.is_some() {
                        return Ok(report);
                    }
                }
            }
        }
        self.send(&producer, &mut chunk, &mut report).await;
        Ok(report)
    }

    async fn plan(&self, found: &FoundLetter, known: &mut Known) -> Plan {
        if known.marks.has(&found.record) {
            return Plan::Already;
        }
        let Some(letter) = &found.letter else {
            let Some(to) = &self.to else {
                return Plan::Homeless;
            };
            return Plan::Send(found.record.clone().into_record().to(to));
        };
        if letter.stub.is_some() {
            return Plan::Stub;
        }
        if letter.replays >= self.max_replays {
            return Plan::Looping;
        }
        match self.to.as_ref().unwrap_or(&letter.topic) {
            // It would come back at once.
            own if own == self.letters.topic() => Plan::Homeless,
            to => {
                let mut record = letter.replay(&found.record, to);
                if *to == letter.topic && !self.by_key {
                    record.partition = self.own_partition(letter, known).await;
                }
                Plan::Send(record)
            }
        }
    }

    /// The partition that a letter came from, where its topic still has it.
    async fn own_partition(&self, letter: &Letter, known: &mut Known) -> Option<Partition> {
        let own = letter.partition?;
        let count = match known.partitions.get(&letter.topic) {
            Some(count) => *count,
            None => {
                let topic = self
                    .letters
                    .client
                    .cluster()
                    .topic(letter.topic.clone())
                    .await;
                // Where it is not there, sending tells.
                let count = topic.map_or(0, |topic| topic.partitions.len());
                known.partitions.insert(letter.topic.clone(), count);
                count
            }
        };
        (own.index() < count).then_some(own)
    }

    /// Sends letters, and marks those that brokers have.
    async fn send(
        &self,
        producer: &Producer,
        chunk: &mut Vec<((TopicPartition, Offset), ProducerRecord)>,
        report: &mut ReplayReport,
    ) {
        let mut done = Vec::with_capacity(chunk.len());
        send(producer, chunk, report, &mut done).await;
        if done.is_empty() {
            return;
        }
        let marks = marks(self.letters.topic(), done);
        for result in producer.send_all(marks).await {
            if let Err(error) = result {
                report.unmarked.get_or_insert(error);
            }
        }
    }
}

async fn send(
    producer: &Producer,
    chunk: &mut Vec<((TopicPartition, Offset), ProducerRecord)>,
    report: &mut ReplayReport,
    done: &mut Vec<(Partition, Offset)>,
) {
    if chunk.is_empty() {
        return;
    }
    let (places, records): (Vec<_>, Vec<_>) = chunk.drain(..).unzip();
    let sent = producer.send_all(records).await;
    for ((place, offset), result) in places.into_iter().zip(sent) {
        match result {
            Ok(_) => {
                report.replayed += 1;
                done.push((place.partition, offset));
            }
            Err(error) => report.failed.push((place, offset, error)),
        }
    }
}

/// How many letters are on their way at once.
const CHUNK: usize = 500;
