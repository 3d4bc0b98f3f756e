//! Where records come from when they are read: partitions or a group; from where, and up to where.

use std::time::Duration;

use milena::consumer::FetchBatch;
use milena::{AssignedConsumer, Consumer, ConsumerRecord, Offset, TopicPartition};

use super::time::time;
use crate::failure::Failure;

/// A consumer, of either kind.
pub(super) enum Source {
    Assigned(AssignedConsumer),
    Member(Consumer),
}

/// What it gave.
pub(super) enum Given {
    Batch(FetchBatch),
    Record(Box<ConsumerRecord>),
}

impl Source {
    /// The next records; `None` where none came within `wait`.
    pub(super) async fn next(&self, wait: Duration) -> Result<Option<Given>, Failure> {
        let next = async {
            match self {
                Self::Assigned(consumer) => consumer.recv_batch().await.map(Given::Batch),
                // One by one, so that no more is committed than was shown.
                Self::Member(consumer) => {
                    let record = consumer.recv().await?;
                    Ok(Given::Record(Box::new(record)))
                }
            }
        };
        match tokio::time::timeout(wait, next).await {
            Ok(given) => Ok(Some(given?)),
            Err(_) => Ok(None),
        }
    }

    /// Where it stands in a partition; `None` where that is not known or not its partition.
    pub(super) fn position(&self, place: &TopicPartition) -> Option<Offset> {
        match self {
            Self::Assigned(consumer) => consumer.position(place).ok().flatten(),
            Self::Member(consumer) => consumer.position(place).ok().flatten(),
        }
    }

    /// Reads a partition no more.
    pub(super) fn leave(&self, place: &TopicPartition) {
        if let Self::Assigned(consumer) = self {
            consumer.unassign([place.clone()]);
        }
    }

    /// Commits what was shown, where it is a member, and ends.
    pub(super) async fn close(&self) -> Result<(), Failure> {
        match self {
            Self::Assigned(consumer) => consumer.close().await,
            Self::Member(consumer) => {
                let committed = consumer.commit().await;
                consumer.close().await;
                committed?;
            }
        }
        Ok(())
    }
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Beginning,
    End,
    Offset(i64),
    /// So many before the end.
    Last(i64),
    Time(i64),
}

/// Reads `beginning`, `end`, an offset, `-N` for the last N, or `@TIME`.
pub(super) fn from(text: &str) -> Result<From, String> {
    match text {
        "beginning" | "earliest" => Ok(From::Beginning),
        "end" | "latest" => Ok(From::End),
        text => {
            if let Some(text) = text.strip_prefix('@') {
                return time(text).map(From::Time);
            }
            let (last, digits) = match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text),
            };
            let number = digits.parse().ok().filter(|number| *number >= 0);
            let number = number
                .ok_or_else(|| format!("'{text}' is none of beginning, end, N, -N, @TIME"))?;
            Ok(if last {
                From::Last(number)
            } else {
                From::Offset(number)
            })
        }
    }
}

/// Up to where is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// What is there now.
    End,
    Time(i64),
}

/// Reads `end` or a time.
pub(super) fn until(text: &str) -> Result<Until, String> {
    match text {
        "end" => Ok(Until::End),
        text => time(text.strip_prefix('@').unwrap_or(text)).map(Until::Time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_begin_and_end_are_read() {
        assert_eq!(from("beginning"), Ok(From::Beginning));
        assert_eq!(from("42"), Ok(From::Offset(42)));
        assert_eq!(from("-10"), Ok(From::Last(10)));
        assert_eq!(from("@60000"), Ok(From::Time(60_000)));
        assert!(from("soon").is_err());
        assert_eq!(until("end"), Ok(Until::End));
        assert_eq!(until("@5"), Ok(Until::Time(5)));
    }
}
