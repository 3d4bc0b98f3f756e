//! Sends letters back to be processed again.

use std::collections::{BTreeMap, HashSet};
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
use super::marks::{Marks, Place, is_mark, marks};
use super::same::Sources;

/// A builder of a replay. Holds the target, the rate and the limits.
#[derive(Clone, Debug)]
#[must_use = "nothing happens before `run`"]
pub struct Replay {
    /// The dead letter topic.
    letters: DeadLetters,
    /// The letters to send.
    filter: LetterFilter,
    /// The topic to send to. `None` for the topic that each letter came from.
    to: Option<TopicName>,
    /// The letters per second, at least 1. `None` for no limit.
    per_second: Option<u32>,
    /// The replays after which a letter is skipped.
    max_replays: u64,
    /// True if nothing is sent.
    dry: bool,
    /// True if letters of earlier replays are sent again.
    again: bool,
    /// True if the producer chooses partitions, false to use the partition that a letter came from.
    by_key: bool,
}

/// The result of a replay.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// The letters that were sent and acknowledged. In a dry run, the letters that would be sent.
    pub replayed: u64,
    /// The letters that were skipped because an earlier replay sent them.
    pub already: u64,
    /// The letters that were skipped because [another letter of the same
    /// record](FoundLetter::same_as) was sent, now or by an earlier replay. They count as sent from
    /// now on, too.
    pub copies: u64,
    /// The letters that were skipped because their value was [left
    /// out](milena_middleware::dead_letter::Refused) when they were written.
    pub stubs: u64,
    /// The letters that were skipped because they were replayed too often before.
    pub looping: u64,
    /// The letters that were skipped because they do not name their topic and no other topic was
    /// given.
    pub homeless: u64,
    /// The letters that could not be sent, with their places in the dead letter topic and the
    /// errors.
    pub failed: Vec<(TopicPartition, Offset, Error)>,
    /// The error that ended the replay early. Letters that were sent could not be marked in the
    /// dead letter topic, so another replay would send them again.
    pub unmarked: Option<Error>,
}

/// The action for one letter.
enum Plan {
    Send(ProducerRecord),
    Already,
    Copy,
    Stub,
    Looping,
    Homeless,
}

/// The known state of the dead letter topic and the target topics.
#[derive(Default)]
struct Known {
    /// The letters that an earlier replay sent.
    marks: Marks,
    /// The number of partitions of each target topic. 0 if the topic could not be found.
    partitions: BTreeMap<TopicName, usize>,
    /// Records of which no letter was sent, by the places of their first letters. The next letter
    /// of such a record is sent.
    unsent: HashSet<Place>,
}

/// A letter on its way.
struct Leaving {
    place: (TopicPartition, Offset),
    /// Place of the first letter of its record.
    first: Place,
    /// The record to send. `None` for a copy, which is only marked.
    record: Option<ProducerRecord>,
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

    /// Sends all letters to this topic. Default the topic that each letter came from.
    pub fn to(mut self, topic: impl Into<TopicName>) -> Self {
        self.to = Some(topic.into());
        self
    }

    /// Limits the letters per second. Zero counts as one. Default no limit.
    pub fn rate(mut self, per_second: u32) -> Self {
        self.per_second = Some(per_second.max(1));
        self
    }

    /// Skips letters that were replayed `times` times before. Default 3, because a letter that
    /// always comes back needs a person.
    pub fn max_replays(mut self, times: u64) -> Self {
        self.max_replays = times;
        self
    }

    /// Sends letters again that an earlier replay sent. By default they are skipped, because the
    /// earlier replay marked them in the dead letter topic.
    pub fn again(mut self) -> Self {
        self.again = true;
        self
    }

    /// Lets the producer choose partitions by the letters' keys.
    ///
    /// By default a letter that goes back to its own topic gets the partition that it came from,
    /// because another producer's partitioner may have chosen it.
    pub fn by_key(mut self) -> Self {
        self.by_key = true;
        self
    }

    /// Only counts the letters, and sends nothing.
    pub fn dry_run(mut self) -> Self {
        self.dry = true;
        self
    }

    /// Sends the letters that were in the topic when the replay began. The letters of a partition
    /// go in its order. Waits until brokers have acknowledged them.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the target is the dead letter topic itself, or the error that kept
    /// the letters from being read. Letters that cannot be sent are in the report.
    ///
    /// # Cancel safety
    /// If the future is dropped, some letters were sent and others not. Sent letters are marked in
    /// the dead letter topic, up to 500 at a time, so another run skips them.
    pub async fn run(self) -> Result<ReplayReport> {
        if self.to.as_ref() == Some(self.letters.topic()) {
            let what =
                "dead letters cannot be replayed into their own topic; name another one, or none";
            return Err(Error::new(ErrorKind::Config, what).topic(self.letters.topic()));
        }
        let mut known = Known::default();
        if !self.again {
            let all = LetterFilter::new();
            // Marks are written after their letters, so the same start time finds them all.
            let all = match self.filter.since {
                Some(since) => all.since(since),
                None => all,
            };
            let mut marks = self.letters.scan(all).await?;
            let (mut sources, mut copies) = (Sources::default(), Vec::new());
            while let Some(record) = marks.record().await? {
                if is_mark(&record) {
                    known.marks.read(&record);
                } else if let Some(letter) = Letter::read(&record.headers)
                    && let Some(first) = sources.first_of(&record, &letter)
                {
                    copies.push((first, (record.partition, record.offset)));
                }
            }
            known.marks.take_copies(copies);
        }
        let mut scan = self.letters.scan(self.filter.clone()).await?;
        let producer = self.letters.client.producer().build()?;
        let mut report = ReplayReport::default();
        // The first chunk holds one letter. If the topic takes no marks, only this letter was sent
        // in vain.
        let mut most = 1;
        let mut chunk = Vec::new();
        let mut next = Instant::now();
        while let Some(found) = scan.next().await? {
            let first = found
                .same_as
                .unwrap_or((found.record.partition, found.record.offset));
            let plan = self.plan(&found, &mut known).await;
            match plan {
                Plan::Send(_) | Plan::Already => known.unsent.remove(&first),
                Plan::Stub | Plan::Looping | Plan::Homeless => known.unsent.insert(first),
                Plan::Copy => false,
            };
            let mut leaving = Leaving {
                place: (found.record.topic_partition(), found.record.offset),
                first,
                record: None,
            };
            match plan {
                Plan::Already => report.already += 1,
                Plan::Stub => report.stubs += 1,
                Plan::Looping => report.looping += 1,
                Plan::Homeless => report.homeless += 1,
                Plan::Copy => {
                    report.copies += 1;
                    if !self.dry {
                        chunk.push(leaving);
                    }
                }
                Plan::Send(_) if self.dry => report.replayed += 1,
                Plan::Send(record) => {
                    leaving.record = Some(record);
                    chunk.push(leaving);
                    if let Some(per_second) = self.per_second {
                        sleep_until(next).await;
                        next = next.max(Instant::now()) + Duration::from_secs(1) / per_second;
                        most = 1;
                    }
                }
            }
            if chunk.len() >= most {
                self.send(&producer, &mut chunk, &mut known.unsent, &mut report)
                    .await;
                most = CHUNK;
            }
            if report.unmarked.is_some() {
                return Ok(report);
            }
        }
        self.send(&producer, &mut chunk, &mut known.unsent, &mut report)
            .await;
        Ok(report)
    }

    async fn plan(&self, found: &FoundLetter, known: &mut Known) -> Plan {
        if known.marks.has(&found.record) {
            return Plan::Already;
        }
        if found
            .same_as
            .is_some_and(|first| !known.unsent.contains(&first))
        {
            return Plan::Copy;
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
            // Sent to the dead letter topic, the letter would come back at once.
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

    /// Returns the partition that a letter came from if its topic still has it.
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
                // If the topic does not exist, the send reports the error.
                let count = topic.map_or(0, |topic| topic.partitions.len());
                known.partitions.insert(letter.topic.clone(), count);
                count
            }
        };
        (own.index() < count).then_some(own)
    }

    /// Sends the letters of `chunk`, and marks those that brokers have acknowledged, with their
    /// copies.
    async fn send(
        &self,
        producer: &Producer,
        chunk: &mut Vec<Leaving>,
        unsent: &mut HashSet<Place>,
        report: &mut ReplayReport,
    ) {
        let done = send(producer, chunk, unsent, report).await;
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

/// Sends the letters of a chunk and empties it. Returns the places of those that are done.
async fn send(
    producer: &Producer,
    chunk: &mut Vec<Leaving>,
    unsent: &mut HashSet<Place>,
    report: &mut ReplayReport,
) -> Vec<Place> {
    let (mut letters, mut records, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    for leaving in chunk.drain(..) {
        match leaving.record {
            Some(record) => {
                letters.push((leaving.place, leaving.first));
                records.push(record);
            }
            None => copies.push((leaving.place, leaving.first)),
        }
    }
    let mut done = Vec::with_capacity(letters.len() + copies.len());
    if !records.is_empty() {
        let sent = producer.send_all(records).await;
        for (((place, offset), first), result) in letters.into_iter().zip(sent) {
            match result {
                Ok(_) => {
                    report.replayed += 1;
                    done.push((place.partition, offset));
                }
                Err(error) => {
                    unsent.insert(first);
                    report.failed.push((place, offset, error));
                }
            }
        }
    }
    // A copy of a letter that could not be sent stays for another replay.
    copies.retain(|(_, first)| !unsent.contains(first));
    done.extend(
        copies
            .into_iter()
            .map(|((place, offset), _)| (place.partition, offset)),
    );
    done
}

/// The most letters that are sent before they are marked.
const CHUNK: usize = 500;
