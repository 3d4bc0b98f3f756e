//! Builds the record that sends a dead letter back to be processed again. Pure.

use milena_core::{ConsumerRecord, ProducerRecord, Timestamp, TopicName};

use super::dialect::Dialect;
use super::reader::Letter;
use crate::origin::{self, Origin};

impl Letter {
    /// Builds the record for `topic` from this letter, which was read as `record`. It has the
    /// letter's key, value and headers, without the cause.
    ///
    /// The record keeps its first origin and counts its replays, so that one that always comes back
    /// can be found ([`replays`](Self::replays)). Its timestamp is the time of sending. For an
    /// [expiry](crate::expiry), its age counts from then on. If the letter's dialect is not
    /// milena's, its origin is written in milena's headers too.
    #[must_use]
    pub fn replay(&self, record: &ConsumerRecord, topic: impl Into<TopicName>) -> ProducerRecord {
        let mut headers = record.headers.clone();
        for dialect in Dialect::ALL {
            let names = dialect.names();
            for name in [names.class, names.message, names.attempts]
                .into_iter()
                .flatten()
            {
                headers.remove(name);
            }
        }
        headers.remove(origin::CAUSE_DEPENDENCY);
        origin::forget_retries(&mut headers);
        let topic = topic.into();
        if headers.get(origin::TOPIC).is_none() {
            let origin = Origin {
                topic: self.topic.clone(),
                partition: self.partition,
                offset: self.offset,
                timestamp: self.timestamp,
            };
            origin.note(&mut headers);
        }
        headers.set(origin::SENT_TO, topic.as_str().to_owned());
        headers.set(
            origin::REPLAYED_AT,
            Timestamp::now().to_millis().to_string(),
        );
        headers.set(origin::DEATHS, self.deaths.to_string());
        headers.set(origin::REPLAYS, self.replays.saturating_add(1).to_string());
        let mut replayed = ProducerRecord::new(topic).headers(headers);
        replayed.record.key = record.key.clone();
        replayed.record.value = record.value.clone();
        replayed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replayed_letter_keeps_its_origin_loses_its_cause_and_counts() {
        let mut record = ConsumerRecord::new("dead", 0, 5);
        record.key = Some("k".into());
        record.value = Some("v".into());
        record.headers.extend([
            ("trace", "7"),
            ("__connect.errors.topic", "orders"),
            ("__connect.errors.partition", "3"),
            ("__connect.errors.offset", "17"),
            ("__connect.errors.exception.message", "no order"),
            ("milena.retry.round", "2"),
            ("milena.replays", "1"),
        ]);
        let Some(letter) = Letter::read(&record.headers) else {
            panic!("it is a letter")
        };
        let replayed = letter.replay(&record, "orders");
        let headers = &replayed.record.headers;
        assert_eq!(
            (replayed.topic.as_str(), replayed.partition),
            ("orders", None)
        );
        assert_eq!(replayed.record.value.as_deref(), Some(&b"v"[..]));
        for (name, value) in [
            ("trace", Some("7")),
            ("milena.origin.topic", Some("orders")),
            ("milena.origin.offset", Some("17")),
            ("milena.replays", Some("2")),
            ("milena.deaths", Some("1")),
            ("milena.retry.round", None),
            ("__connect.errors.exception.message", None),
        ] {
            assert_eq!(headers.text(name), value, "{name}");
        }
    }
}
