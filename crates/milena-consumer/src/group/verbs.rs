//! What a running consumer can be asked about its group: another subscription, a rebalance, how to end.

use milena_core::{Result, TopicName};

use super::signals::GroupMembershipOperation;
use crate::consumer::Consumer;
use crate::subscription::{Pattern, Subscription};

impl Consumer {
    /// Reads these topics from now on, and no others; the group rebalances for it, and what is read before and after goes on.
    ///
    /// A topic that does not exist yet is read once it is made.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for no topics, and for a name that no topic can have; nothing has changed
    /// then.
    pub fn subscribe<I>(&self, topics: I) -> Result<()>
    where
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        self.read_from_now_on(Subscription {
            topics: topics.into_iter().map(Into::into).collect(),
            pattern: None,
        })
    }

    /// Reads every topic whose whole name fits this regular expression from now on, and no others; as
    /// [`topic_pattern`](crate::ConsumerBuilder::topic_pattern).
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for what is no regular expression; nothing has changed then.
    pub fn subscribe_pattern(&self, pattern: impl AsRef<str>) -> Result<()> {
        self.read_from_now_on(Subscription {
            topics: [].into(),
            pattern: Some(Pattern::new(pattern.as_ref())?),
        })
    }

    fn read_from_now_on(&self, subscription: Subscription) -> Result<()> {
        subscription.check()?;
        self.core().group.subscription.send_replace(subscription);
        Ok(())
    }

    /// Lets the group rebalance soon, for this reason, which goes into the coordinator's log. Under the consumer protocol the
    /// coordinator alone decides, and this does nothing.
    ///
    /// # References
    /// KIP-568, KIP-800.
    pub fn enforce_rebalance(&self, reason: &str) {
        self.core().group.rebalance(reason);
    }

    /// As [`close`](Self::close), with another end of the membership than was set up.
    pub async fn close_with(&self, operation: GroupMembershipOperation) {
        *self.core().group.on_close.lock() = operation;
        self.close().await;
    }
}
