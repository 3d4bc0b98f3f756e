//! Recognises letters of one record. A consumer that crashes between a letter and its commit writes
//! the letter again. Pure.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use milena_core::{ConsumerRecord, Offset, Partition, TopicName};
use milena_middleware::dead_letter::Letter;

use super::marks::Place;

/// The records that letters were seen of, each with the place of its first letter.
#[derive(Debug, Default)]
pub(super) struct Sources(HashMap<Source, Place>);

impl Sources {
    /// Returns the place of the first letter of the same record, and `None` for that letter itself.
    /// A letter without the offset of its record is never the same as another.
    pub(super) fn first_of(&mut self, record: &ConsumerRecord, letter: &Letter) -> Option<Place> {
        let place = (record.partition, record.offset);
        let first = *self.0.entry(Source::of(record, letter)?).or_insert(place);
        (first != place).then_some(first)
    }
}

/// The identity of a record. Letters of one record share it, and letters of different records never
/// do.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Source {
    topic: TopicName,
    partition: Partition,
    offset: Offset,
    /// The number of replays. A record that was replayed and failed again keeps its origin, and its
    /// new letter is another failure.
    replays: u64,
    deaths: u64,
    /// A hash of the group, key, value and timestamp. Each group gives a record up by itself. A
    /// topic that was deleted and created again has the same offsets with other contents.
    content: u64,
}

impl Source {
    fn of(record: &ConsumerRecord, letter: &Letter) -> Option<Self> {
        let mut content = DefaultHasher::new();
        letter.group.hash(&mut content);
        letter.timestamp.hash(&mut content);
        record.key.hash(&mut content);
        record.value.hash(&mut content);
        Some(Self {
            topic: letter.topic.clone(),
            partition: letter.partition?,
            offset: letter.offset?,
            replays: letter.replays,
            deaths: letter.deaths,
            content: content.finish(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u32) -> ConsumerRecord {
        let mut record = ConsumerRecord::new("dead", 0, offset);
        record.value = Some("two stamps".into());
        record.headers.extend([
            ("milena.origin.topic", "orders"),
            ("milena.origin.partition", "3"),
            ("milena.origin.offset", "17"),
            ("milena.origin.timestamp", "1000"),
            ("milena.origin.group", "billing"),
            ("milena.deaths", "1"),
        ]);
        record
    }

    fn first_of(sources: &mut Sources, record: &ConsumerRecord) -> Option<i64> {
        let letter = Letter::read(&record.headers).unwrap();
        let first = sources.first_of(record, &letter);
        first.map(|(_, offset)| offset.to_wire())
    }

    #[test]
    fn a_letter_that_was_written_again_is_the_same_as_the_first_whatever_its_error_says() {
        let mut sources = Sources::default();
        let mut again = at(7);
        again.headers.push("milena.cause.message", "timed out");
        let found = [&at(5), &again, &at(9), &at(5)].map(|record| first_of(&mut sources, record));
        assert_eq!(found, [None, Some(5), Some(5), None]);
    }

    #[test]
    fn another_record_and_another_failure_of_it_are_not_the_same() {
        let mut sources = Sources::default();
        assert_eq!(first_of(&mut sources, &at(5)), None);
        for (name, value) in [
            ("milena.origin.topic", "bills"),
            ("milena.origin.partition", "4"),
            ("milena.origin.offset", "18"),
            ("milena.origin.timestamp", "1001"),
            ("milena.origin.group", "audit"),
            ("milena.replays", "1"),
            ("milena.deaths", "2"),
        ] {
            let mut other = at(6);
            other.headers.set(name, value);
            assert_eq!(first_of(&mut sources, &other), None, "{name}");
        }
        let mut other = at(7);
        other.value = Some("three stamps".into());
        assert_eq!(first_of(&mut sources, &other), None, "the value");
        for _ in 0..2 {
            let mut unknown = at(8);
            unknown.headers.remove("milena.origin.offset");
            assert_eq!(first_of(&mut sources, &unknown), None, "no offset");
        }
    }
}
