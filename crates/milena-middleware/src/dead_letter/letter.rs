//! What a dead letter looks like. Pure.

use milena_core::{
    ConsumerRecord, Headers, ProcessError, ProducerRecord, TimestampType, TopicName,
};

use super::dialect::Dialect;
use crate::desk::Size;
use crate::origin;

/// How letters are written.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub(super) topic: TopicName,
    /// Beside milena's own.
    pub(super) dialects: Vec<Dialect>,
    pub(super) group: Option<String>,
    /// The most bytes of a message.
    pub(super) cap: usize,
}

/// Why a record becomes a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) class: &'static str,
    pub(super) message: String,
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
    /// The letter for a record; a short one has no words in it.
    pub(super) fn letter(
        &self,
        record: ConsumerRecord,
        cause: &Cause,
        attempts: u32,
        size: Size,
    ) -> ProducerRecord {
        let mut headers = record.headers.clone();
        if size == Size::Full {
            for dialect in &self.dialects {
                self.translate(*dialect, &record, cause, attempts, &mut headers);
            }
        }
        origin::note(&record, &mut headers);
        origin::forget_retries(&mut headers);
        if let Some(group) = &self.group {
            headers.set(origin::GROUP, group.clone());
        }
        let deaths = origin::number(&headers, origin::DEATHS).unwrap_or(0u64);
        headers.set(origin::DEATHS, deaths.saturating_add(1).to_string());
        let cap = match size {
            Size::Full => self.cap,
            Size::Short => 0,
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
        // The time of writing: with an old one, retention would delete the letter at once.
        letter.record.timestamp = None;
        // A letter that no producer takes would hold its lane up for ever.
        headers.keys_to_text();
        letter.record.headers = headers;
        letter
    }

    /// Says it in another dialect too. A first origin stays.
    fn translate(
        &self,
        dialect: Dialect,
        record: &ConsumerRecord,
        cause: &Cause,
        attempts: u32,
        headers: &mut Headers,
    ) {
        let names = dialect.names();
        if headers.get(names.topic).is_none() {
            headers.set(names.topic, record.topic.as_str().to_owned());
            if let Some(name) = names.partition {
                headers.set(name, names.int(record.partition.to_wire()));
            }
            if let Some(name) = names.offset {
                headers.set(name, names.long(record.offset.to_wire()));
            }
            if let (Some(name), Some(timestamp)) = (names.timestamp, record.timestamp) {
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

/// The start of a text, cut where a character ends.
fn capped(text: &str, cap: usize) -> &str {
    let mut end = text.len().min(cap);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The most bytes of a message: a letter must not outgrow the limit that its record kept.
pub(super) const MESSAGE_CAP: usize = 1_024;

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
        form().letter(record, cause, attempts, Size::Full)
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
        let mut replayed = ConsumerRecord::new("replayed", 0, 0);
        replayed.headers = first.record.headers;
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
        let short = form().letter(record(), &cause, 1, Size::Short);
        assert_eq!(short.record.headers.text("milena.cause.message"), Some(""));
        assert_eq!(
            short.record.headers.text("milena.origin.topic"),
            Some("orders")
        );
    }

    #[test]
    fn what_is_written_in_any_dialect_is_read_back_from_it() {
        let mut form = form();
        form.group = Some("billing".to_owned());
        form.dialects = Dialect::ALL.to_vec();
        let mut dated = record();
        dated.timestamp = Some(milena_core::Timestamp::from_millis(1_000));
        let written = form.letter(dated, &Cause::rejected("no".to_owned()), 4, Size::Full);
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
