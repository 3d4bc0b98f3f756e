//! What a dead letter looks like. Pure.

use milena_core::{ConsumerRecord, ProcessError, ProducerRecord, TopicName};

use crate::origin;

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

/// The letter for a record.
pub(super) fn letter(
    record: ConsumerRecord,
    cause: &Cause,
    attempts: u32,
    topic: &TopicName,
) -> ProducerRecord {
    let mut letter = ProducerRecord::new(topic);
    let mut headers = record.headers.clone();
    origin::note(&record, &mut headers);
    letter.record = record.into_record();
    // The broker's time: with an old one, retention would delete the letter at once.
    letter.record.timestamp = None;
    let deaths = origin::number(&headers, origin::DEATHS).unwrap_or(0u64);
    headers.set(origin::DEATHS, deaths.saturating_add(1).to_string());
    headers.set(origin::CAUSE_CLASS, cause.class);
    headers.set(origin::CAUSE_MESSAGE, capped(&cause.message).to_owned());
    match &cause.dependency {
        Some(name) => headers.set(origin::CAUSE_DEPENDENCY, capped(name).to_owned()),
        None => headers.remove(origin::CAUSE_DEPENDENCY),
    }
    headers.set(origin::ATTEMPTS, attempts.to_string());
    letter.record.headers = headers;
    letter
}

/// The start of a text, cut where a character ends.
fn capped(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_CAP);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The most bytes of a message: a letter must not outgrow the limit that its record kept.
const MESSAGE_CAP: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ConsumerRecord {
        let mut record = ConsumerRecord::new("orders", 3, 17);
        record.key = Some("k".into());
        record.value = Some("v".into());
        record.headers.push("trace", "7");
        record
    }

    #[test]
    fn a_letter_keeps_the_record_and_names_origin_and_cause() {
        let error = ProcessError::dependency("payments", "refused");
        let letter = letter(record(), &Cause::error(&error), 5, &"dead".into());
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
        let first = letter(record(), &cause("first"), 1, &"dead".into());
        let mut replayed = ConsumerRecord::new("replayed", 0, 0);
        replayed.headers = first.record.headers;
        let second = letter(replayed, &cause("second"), 1, &"dead".into());
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
    fn a_long_message_is_cut_between_characters() {
        let cause = Cause::rejected("é".repeat(2_000));
        let letter = letter(record(), &cause, 1, &"dead".into());
        let message = letter.record.headers.text("milena.cause.message").unwrap();
        assert_eq!(message, "é".repeat(512));
    }
}
