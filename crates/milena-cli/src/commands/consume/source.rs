//! The source of records, which is a list of partitions or the membership in a group.

use std::time::Duration;

use milena::{AssignedConsumer, TopicPartition};

use super::ends::Ends;
use super::ledger::Ledger;
use super::member::{Event, Member};
use crate::failure::Failure;

/// A consumer of either kind.
pub(super) enum Source {
    Assigned(Box<AssignedConsumer>),
    Member(Box<Member>),
}

impl Source {
    /// Waits up to `wait` for the next event. That is a batch, or news that a member must attend to
    /// first. Returns `Idle` if none comes.
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

    /// Stops reading a partition.
    pub(super) fn leave(&self, place: &TopicPartition) {
        match self {
            Self::Assigned(consumer) => consumer.unassign([place.clone()]),
            // Paused and not given up, because this member still has to commit it. If the partition
            // was revoked meanwhile, there is nothing to pause.
            Self::Member(member) => drop(member.consumer.pause(place)),
        }
    }

    /// Returns true if everything is read up to the ends. Asks for positions, because the rest may
    /// hold no records or may have been read by other members.
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

    /// Commits the shown records within `limit` if it is a member, and closes the consumer.
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
