//! Where records come from: partitions that were named, or those that a group gives.

use std::time::Duration;

use milena::{AssignedConsumer, TopicPartition};

use super::ends::Ends;
use super::ledger::Ledger;
use super::member::{Event, Member};
use crate::failure::Failure;

/// A consumer, of either kind.
pub(super) enum Source {
    Assigned(Box<AssignedConsumer>),
    Member(Box<Member>),
}

impl Source {
    /// The next records, what a member has to attend to first, or nothing within `wait`.
    pub(super) async fn next(&mut self, wait: Duration) -> Result<Event, Failure> {
        match self {
            Self::Assigned(consumer) => {
                match tokio::time::timeout(wait, consumer.recv_batch()).await {
                    Ok(batch) => Ok(Event::Batch(Box::new(batch?))),
                    Err(_) => Ok(Event::Idle),
                }
            }
            Self::Member(member) => Ok(member.next(wait).await?),
        }
    }

    /// Reads a partition no more.
    pub(super) fn leave(&self, place: &TopicPartition) {
        match self {
            Self::Assigned(consumer) => consumer.unassign([place.clone()]),
            // It stays this member's, who has to commit it. Where it went away meanwhile it is left as well.
            Self::Member(member) => drop(member.consumer.pause(place)),
        }
    }

    /// Whether all is read up to the ends: what is left there may be no records, or was read by other members.
    pub(super) async fn look(&mut self, ends: &mut Ends) -> Result<bool, Failure> {
        match self {
            Self::Assigned(consumer) => {
                let left: Vec<TopicPartition> = ends.left().cloned().collect();
                for place in left {
                    if let Ok(Some(position)) = consumer.position(&place) {
                        ends.reach(&place, position);
                    }
                }
                Ok(ends.left().next().is_none())
            }
            Self::Member(member) => member.look(ends).await,
        }
    }

    /// Commits what was shown within `limit`, where it is a member, and ends.
    pub(super) async fn close(self, ledger: &Ledger, limit: Duration) -> Result<(), Failure> {
        match self {
            Self::Assigned(consumer) => {
                consumer.close().await;
                Ok(())
            }
            Self::Member(member) => member.close(ledger, limit).await,
        }
    }
}
