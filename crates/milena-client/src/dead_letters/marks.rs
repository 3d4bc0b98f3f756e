//! Marks, which record the letters that were sent back. They are written to the dead letter topic,
//! so they are kept as long as the letters. Pure.

use std::collections::BTreeMap;

use milena_core::{ConsumerRecord, Offset, Partition, ProducerRecord, TopicName};

/// The header of a mark. Holds the offsets of letters in the mark's partition, such as `5-7,9`.
const REPLAYED: &str = "milena.replayed";

/// The place of a letter in the dead letter topic.
pub(super) type Place = (Partition, Offset);

/// The letters that were sent back. Maps each partition to ranges of offsets, from the first to the
/// last offset of a range. Ranges never touch.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<Partition, BTreeMap<i64, i64>>);

impl Marks {
    /// Adds the offsets that `record` names if it is a mark.
    pub(super) fn read(&mut self, record: &ConsumerRecord) {
        let Some(text) = record.headers.text(REPLAYED) else {
            return;
        };
        for range in text.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            if let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse()) {
                self.add(record.partition, first, last);
            }
        }
    }

    pub(super) fn has(&self, record: &ConsumerRecord) -> bool {
        self.has_at((record.partition, record.offset))
    }

    /// Counts the first letter of a record as sent if a copy of it was sent. `copies` holds the
    /// places of first letters, each with the place of a copy.
    pub(super) fn take_copies(&mut self, copies: Vec<(Place, Place)>) {
        for ((partition, first), copy) in copies {
            if self.has_at(copy) {
                self.add(partition, first.to_wire(), first.to_wire());
            }
        }
    }

    fn has_at(&self, (partition, offset): Place) -> bool {
        let offset = offset.to_wire();
        let ranges = self.0.get(&partition);
        let before = ranges.and_then(|ranges| ranges.range(..=offset).next_back());
        before.is_some_and(|(_, last)| *last >= offset)
    }

    /// Adds a range, and merges it with the ranges that it touches.
    fn add(&mut self, partition: Partition, first: i64, last: i64) {
        if first < 0 || last < first {
            return;
        }
        let ranges = self.0.entry(partition).or_default();
        let (mut from, mut to) = (first, last);
        while let Some((start, end)) = ranges
            .range(..=to.saturating_add(1))
            .next_back()
            .map(|(start, end)| (*start, *end))
            .filter(|(_, end)| end.saturating_add(1) >= from)
        {
            ranges.remove(&start);
            (from, to) = (from.min(start), to.max(end));
        }
        ranges.insert(from, to);
    }
}

/// Returns true if a record of a dead letter topic is a mark and not a letter.
pub(super) fn is_mark(record: &ConsumerRecord) -> bool {
    record.headers.get(REPLAYED).is_some()
}

/// Builds the marks for letters that were sent back, one for each partition.
pub(super) fn marks(topic: &TopicName, mut sent: Vec<(Partition, Offset)>) -> Vec<ProducerRecord> {
    sent.sort_unstable();
    let mut all = Vec::new();
    for places in sent.chunk_by(|(one, _), (two, _)| one == two) {
        let Some((partition, first)) = places.first() else {
            continue;
        };
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for (_, offset) in places {
            let offset = offset.to_wire();
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 >= offset => *last = offset,
                _ => ranges.push((offset, offset)),
            }
        }
        let word = |(first, last): &(i64, i64)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let text: Vec<_> = ranges.iter().map(word).collect();
        let text = text.join(",");
        // Each mark has a key of its own. A compacted topic refuses records without a key, and
        // keeps only the last record of a key.
        let mark = ProducerRecord::new(topic)
            .partition(*partition)
            .key(format!("{REPLAYED}:{partition}:{}", first.to_wire()))
            .value(format!("letters that were sent back: {text}"))
            .header(REPLAYED, text);
        all.push(mark);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: u32, offset: u32) -> ConsumerRecord {
        ConsumerRecord::new("dead", partition, offset)
    }

    #[test]
    fn what_is_marked_is_found_and_nothing_else() {
        let sent = [(0, 9), (0, 5), (0, 6), (0, 7), (1, 5)];
        let sent = sent.map(|(partition, offset)| (partition.into(), offset.into()));
        let written = marks(&"dead".into(), sent.into());
        let texts = written
            .iter()
            .map(|mark| mark.record.headers.text(REPLAYED));
        assert_eq!(texts.collect::<Vec<_>>(), [Some("5-7,9"), Some("5")]);
        let mut known = Marks::default();
        for mark in written {
            let mut read = at(mark.partition.unwrap().to_wire() as u32, 99);
            read.headers = mark.record.headers;
            assert!(is_mark(&read));
            known.read(&read);
        }
        let found = [4, 5, 6, 7, 8, 9, 10].map(|offset| known.has(&at(0, offset)));
        assert_eq!(found, [false, true, true, true, false, true, false]);
        assert!(known.has(&at(1, 5)) && !known.has(&at(1, 6)) && !known.has(&at(2, 5)));
    }

    #[test]
    fn ranges_that_meet_are_one_and_nonsense_marks_nothing() {
        let mut known = Marks::default();
        for text in ["1-10,5-6", "12", "11", "x,7-,-3,9-8,99999999999999999999"] {
            let mut mark = at(0, 0);
            mark.headers.push(REPLAYED, text);
            known.read(&mark);
        }
        let ranges: Vec<_> = known.0.into_values().flatten().collect();
        assert_eq!(ranges, [(1, 12)]);
    }
}
