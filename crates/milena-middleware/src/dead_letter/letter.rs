//! Builds a dead letter from a record. Pure.

use std::fmt::Write;

use bytes::Bytes;
use milena_core::{
    ConsumerRecord, Headers, Offset, Partition, ProcessError, ProducerRecord, Record,
    TimestampType, TopicName,
};

use super::dialect::Dialect;
use crate::desk::Size;
use crate::origin::{self, Origin};

/// The form in which letters are written.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// The dead letter topic.
    pub(super) topic: TopicName,
    /// The dialects that are written in addition to milena's own.
    pub(super) dialects: Vec<Dialect>,
    /// The group that letters name. `None` to name none.
    pub(super) group: Option<String>,
    /// The most bytes of an error's text.
    pub(super) cap: usize,
}

/// The reason why a record becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// The class of the error, or `rejected` if the handler asked for a dead letter.
    pub(super) class: &'static str,
    /// The error with its causes, or the handler's reason.
    pub(super) message: String,
    /// The dependency that failed. `None` if the error names none.
    pub(super) dependency: Option<String>,
}

impl Cause {
    pub(super) fn error(error: &ProcessError) -> Self {
        Self {
            class: error.class().name(),
            message: error.chain().into_owned(),
            dependency: error.dependency_name().map(str::to_owned),
        }
    }

    pub(super) fn rejected(reason: String) -> Self {
        Self {
            class: "rejected",
            message: reason,
            dependency: None,
        }
    }
}

impl Form {
    /// Builds the letter for a record in the given size. `refusal` is the error that a larger size
    /// met.
    pub(super) fn letter(
        &self,
        record: ConsumerRecord,
        cause: &Cause,
        attempts: u32,
        size: Size,
        refusal: Option<&ProcessError>,
    ) -> ProducerRecord {
        let origin = Origin::of(&record);
        let mut headers = record.headers.clone();
        origin::disown(&record, &mut headers);
        let deaths = origin::number(&headers, origin::DEATHS).unwrap_or(0u64);
        let replays = headers.text(origin::REPLAYS).map(str::to_owned);
        if size == Size::Bare {
            headers = Headers::new();
        }
        if size == Size::Full {
            for dialect in &self.dialects {
                self.translate(*dialect, &record, &origin, cause, attempts, &mut headers);
            }
        }
        origin.note(&mut headers);
        origin::forget_retries(&mut headers);
        headers.remove(origin::STUB);
        if let Some(replays) = replays {
            headers.set(origin::REPLAYS, replays);
        }
        if let Some(group) = &self.group {
            headers.set(origin::GROUP, group.clone());
        }
        headers.set(origin::SENT_TO, self.topic.as_str().to_owned());
        headers.set(origin::DEATHS, deaths.saturating_add(1).to_string());
        let cap = match size {
            Size::Full => self.cap,
            Size::Short | Size::Stub | Size::Bare => 0,
        };
        origin::note_cause(
            cause.class,
            capped(&cause.message, cap),
            cause.dependency.as_deref().map(|name| capped(name, cap)),
            &mut headers,
        );
        headers.set(origin::ATTEMPTS, attempts.to_string());
        let mut letter = ProducerRecord::new(&self.topic);
        letter.record = record.into_record();
        // Without a timestamp the letter gets the time of writing. With an old one, retention could
        // delete the letter at once.
        letter.record.timestamp = None;
        if size >= Size::Stub {
            // The smallest form holds no text that is not needed.
            let refusal = refusal.filter(|_| size == Size::Stub);
            cut(&mut letter.record, &origin, refusal, &mut headers);
        }
        // A producer refuses header keys that are not UTF-8. Such a letter would block its lane for
        // ever.
        headers.keys_to_text();
        letter.record.headers = headers;
        letter
    }

    /// Adds the headers of another dialect. An origin that the record already has in this dialect
    /// is kept, otherwise milena's origin is written.
    fn translate(
        &self,
        dialect: Dialect,
        record: &ConsumerRecord,
        origin: &Origin,
        cause: &Cause,
        attempts: u32,
        headers: &mut Headers,
    ) {
        let names = dialect.names();
        if headers.get(names.topic).is_none() {
            headers.set(names.topic, origin.topic.as_str().to_owned());
            for name in [names.partition, names.offset, names.timestamp]
                .into_iter()
                .flatten()
            {
                // A partition, offset or timestamp without a topic does not name an origin.
                headers.remove(name);
            }
            if let (Some(name), Some(partition)) = (names.partition, origin.partition) {
                headers.set(name, names.int(partition.to_wire()));
            }
            if let (Some(name), Some(offset)) = (names.offset, origin.offset) {
                headers.set(name, names.long(offset.to_wire()));
            }
            if let (Some(name), Some(timestamp)) = (names.timestamp, origin.timestamp) {
                headers.set(name, names.long(timestamp.to_millis()));
            }
            if dialect == Dialect::Spring {
                let kind = match record.timestamp_type {
                    TimestampType::Create => "CreateTime",
                    TimestampType::LogAppend => "LogAppendTime",
                };
                headers.set("kafka_dlt-original-timestamp-type", kind);
            }
        }
        if let (Some(name), Some(group)) = (names.group, &self.group) {
            headers.set(name, group.clone());
        }
        if let Some(name) = names.class {
            headers.set(name, cause.class);
        }
        if let Some(name) = names.message {
            headers.set(name, capped(&cause.message, self.cap).to_owned());
        }
        if let Some(name) = names.attempts {
            let attempts = i32::try_from(attempts).unwrap_or(i32::MAX);
            headers.set(name, names.int(attempts));
        }
    }
}

/// Removes the value, and adds a header that says so. Adds a key if there is none, because a
/// compacted topic refuses records without a key.
fn cut(
    record: &mut Record,
    origin: &Origin,
    refusal: Option<&ProcessError>,
    headers: &mut Headers,
) {
    let bytes = record.value.as_ref().map_or(0, Bytes::len);
    let mut told = format!("the value of {bytes} bytes is left out");
    // The value is empty, not null. A null value would be a tombstone in a compacted topic.
    record.value = Some(Bytes::new());
    if record.key.as_ref().is_none_or(|key| key.len() > KEY_CAP) {
        let offset = origin.offset.map_or(0, Offset::to_wire);
        let partition = origin.partition.map_or(0, Partition::to_wire);
        record.key = Some(format!("{}-{partition}@{offset}", origin.topic).into());
        told.push_str(", and so is its key");
    }
    if let Some(refusal) = refusal {
        let _ = write!(told, ": {}", capped(&refusal.chain(), REFUSAL_CAP));
    }
    headers.set(origin::STUB, told);
}

/// Returns the start of a text, cut at the end of a character.
fn capped(text: &str, cap: usize) -> &str {
    let mut end = text.len().min(cap);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The most bytes of an error's text. Keeps a letter from outgrowing a size limit that its record
/// met.
pub(super) const MESSAGE_CAP: usize = 1_024;
/// The longest key in bytes that a letter without a value keeps.
const KEY_CAP: usize = 1_024;
/// The most bytes of a broker's refusal in a letter.
const REFUSAL_CAP: usize = 200;

#[cfg(test)]
mod tests {
    use super::super::reader::Letter;
    use super::*;

    fn record() -> ConsumerRecord {
        let mut record = ConsumerRecord::new("orders", 3, 17);
        record.key = Some("k".into());
        record.value = Some("v".into());
        record.headers.push("trace", "7");
        record
    }

    fn form() -> Form {
        Form {
            topic: "dead".into(),
            dialects: Vec::new(),
            group: None,
            cap: MESSAGE_CAP,
        }
    }

    fn letter(record: ConsumerRecord, cause: &Cause, attempts: u32) -> ProducerRecord {
        form().letter(record, cause, attempts, Size::Full, None)
    }

    #[test]
    fn a_header_key_that_no_producer_takes_becomes_text() {
        let mut record = record();
        record.headers.push(&b"odd\xff"[..], "1");
        let letter = letter(record, &Cause::rejected("no".into()), 1);
        assert_eq!(letter.record.headers.text("odd\u{fffd}"), Some("1"));
    }

    #[test]
    fn a_letter_keeps_the_record_and_names_origin_and_cause() {
        let error = ProcessError::dependency("payments", "refused");
        let letter = letter(record(), &Cause::error(&error), 5);
        assert_eq!(letter.topic.as_str(), "dead");
        assert_eq!(letter.record.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(letter.record.value.as_deref(), Some(&b"v"[..]));
        let expected = [
            ("trace", "7"),
            ("milena.origin.topic", "orders"),
            ("milena.origin.partition", "3"),
            ("milena.origin.offset", "17"),
            ("milena.cause.class", "dependency"),
            ("milena.cause.message", "refused"),
            ("milena.cause.dependency", "payments"),
            ("milena.attempts", "5"),
            ("milena.deaths", "1"),
        ];
        for (name, value) in expected {
            assert_eq!(letter.record.headers.text(name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_letter_that_fails_again_keeps_its_first_origin_and_counts() {
        let cause = |text: &str| Cause::rejected(text.to_owned());
        let first = letter(record(), &cause("first"), 1);
        let mut found = ConsumerRecord::new("dead", 0, 0);
        found.headers = first.record.headers;
        let Some(known) = Letter::read(&found.headers) else {
            panic!("it is a letter")
        };
        let sent = known.replay(&found, "replayed");
        let mut replayed = ConsumerRecord::new("replayed", 0, 0);
        replayed.headers = sent.record.headers;
        let second = letter(replayed, &cause("second"), 1);
        let headers = &second.record.headers;
        assert_eq!(headers.text("milena.origin.topic"), Some("orders"));
        assert_eq!(headers.text("milena.deaths"), Some("2"));
        assert_eq!(headers.text("milena.cause.message"), Some("second"));
        assert_eq!(
            headers.iter().filter(|h| h.key == b"milena.deaths").count(),
            1
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters_and_a_short_letter_has_none() {
        let cause = Cause::rejected("é".repeat(2_000));
        let full = letter(record(), &cause, 1);
        let message = full.record.headers.text("milena.cause.message");
        assert_eq!(message, Some("é".repeat(512).as_str()));
        let short = form().letter(record(), &cause, 1, Size::Short, None);
        assert_eq!(short.record.headers.text("milena.cause.message"), Some(""));
        assert_eq!(
            short.record.headers.text("milena.origin.topic"),
            Some("orders")
        );
    }

    #[test]
    fn a_record_that_copies_the_headers_of_another_is_none_of_its_origin() {
        let first = letter(record(), &Cause::rejected("no".into()), 1);
        let mut found = ConsumerRecord::new("dead", 0, 5);
        found.headers = first.record.headers;
        let Some(known) = Letter::read(&found.headers) else {
            panic!("it is a letter")
        };
        // The letter is replayed, and a handler copies all its headers into a bill.
        let mut bill = ConsumerRecord::new("bills", 1, 4);
        bill.headers = known.replay(&found, "orders").record.headers;
        let headers = letter(bill, &Cause::rejected("no".into()), 1)
            .record
            .headers;
        let Some(told) = Letter::read(&headers) else {
            panic!("it is a letter")
        };
        assert_eq!(
            (told.topic.as_str(), told.offset),
            ("bills", Some(4.into()))
        );
        assert_eq!((told.deaths, told.replays), (1, 0));
        assert_eq!(headers.text("trace"), Some("7"), "the others are its own");
    }

    #[test]
    fn behind_a_retry_topic_every_dialect_names_the_first_topic() {
        let mut form = form();
        form.dialects = Dialect::ALL.to_vec();
        let mut late = ConsumerRecord::new("orders.retry.5s", 0, 99);
        late.headers.extend([
            ("milena.origin.topic", "orders"),
            ("milena.origin.partition", "3"),
            ("milena.origin.offset", "17"),
            ("milena.sent.to", "orders.retry.5s"),
            ("milena.retry.round", "1"),
        ]);
        let cause = Cause::rejected("no".to_owned());
        let headers = form
            .letter(late, &cause, 4, Size::Full, None)
            .record
            .headers;
        for dialect in Dialect::ALL {
            let told = Letter::read_as(dialect, &headers);
            let place = told.map(|told| (told.topic.to_string(), told.offset));
            let offset = dialect.names().offset.map(|_| 17.into());
            assert_eq!(place, Some(("orders".to_owned(), offset)), "{dialect:?}");
        }
    }

    #[test]
    fn a_foreign_origin_that_a_record_brings_stays_whole() {
        let mut form = form();
        form.dialects = vec![Dialect::SmallRye];
        let mut record = record();
        record.headers.push("dead-letter-topic", "elsewhere");
        let cause = Cause::rejected("no".to_owned());
        let headers = form
            .letter(record, &cause, 1, Size::Full, None)
            .record
            .headers;
        let told = Letter::read_as(Dialect::SmallRye, &headers);
        let told = told.map(|told| (told.topic.to_string(), told.partition, told.offset));
        assert_eq!(told, Some(("elsewhere".to_owned(), None, None)));
    }

    #[test]
    fn a_stub_leaves_the_value_out_says_so_and_has_a_key() {
        let mut keyless = record();
        keyless.key = None;
        let refused = ProcessError::transient("too large");
        let cause = Cause::rejected("no".to_owned());
        for (record, key, size) in [
            (record(), "k", Size::Stub),
            (keyless, "orders-3@17", Size::Bare),
        ] {
            let stub = form().letter(record, &cause, 1, size, Some(&refused));
            assert_eq!(stub.record.key.as_deref(), Some(key.as_bytes()));
            assert_eq!(stub.record.value.as_deref(), Some(&b""[..]));
            let Some(told) = Letter::read(&stub.record.headers) else {
                panic!("it is a letter")
            };
            assert_eq!(told.offset, Some(17.into()));
            let words = told.stub.unwrap_or_default();
            assert!(words.contains("1 bytes"), "{words}");
            assert_eq!(words.contains("too large"), size == Size::Stub, "{words}");
            let trace = (size == Size::Stub).then_some("7");
            assert_eq!(stub.record.headers.text("trace"), trace);
        }
    }

    #[test]
    fn what_is_written_in_any_dialect_is_read_back_from_it() {
        let mut form = form();
        form.group = Some("billing".to_owned());
        form.dialects = Dialect::ALL.to_vec();
        let mut dated = record();
        dated.timestamp = Some(milena_core::Timestamp::from_millis(1_000));
        let written = form.letter(
            dated,
            &Cause::rejected("no".to_owned()),
            4,
            Size::Full,
            None,
        );
        for dialect in Dialect::ALL {
            let names = dialect.names();
            let read = Letter::read_as(dialect, &written.record.headers);
            let Some(read) = read else {
                panic!("{dialect:?} reads nothing")
            };
            assert_eq!(read.topic, "orders");
            assert_eq!(
                read.partition,
                names.partition.map(|_| 3.into()),
                "{dialect:?}"
            );
            assert_eq!(read.offset, names.offset.map(|_| 17.into()), "{dialect:?}");
            assert_eq!(read.attempts, names.attempts.map(|_| 4), "{dialect:?}");
            assert_eq!(
                read.message.as_deref(),
                names.message.map(|_| "no"),
                "{dialect:?}"
            );
            assert_eq!(
                read.group.as_deref(),
                names.group.map(|_| "billing"),
                "{dialect:?}"
            );
            assert_eq!(
                read.timestamp.is_some(),
                names.timestamp.is_some(),
                "{dialect:?}"
            );
        }
    }
}
