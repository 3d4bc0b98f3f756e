//! Methods of a running consumer that concern its group. They change the subscription, ask for a
//! rebalance and choose how the membership ends.

use milena_core::{GroupMembershipOperation, Result, TopicName};

use crate::consumer::Consumer;
use crate::group::subscription::{Pattern, Subscription};

impl Consumer {
    /// Replaces the subscription by these topics.
    ///
    /// The group rebalances, and topics that are in both subscriptions are read on. A topic that
    /// does not exist yet is read once it is created.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) if there are no topics, or if one has
    /// a name that Kafka does not allow. The subscription is then unchanged.
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

    /// Replaces the subscription by every topic whose whole name matches this regular expression.
    /// The pattern follows the rules of [`topic_pattern`](crate::ConsumerBuilder::topic_pattern).
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) if the pattern is not a regular
    /// expression. The subscription is then unchanged.
    pub fn subscribe_pattern(&self, pattern: impl AsRef<str>) -> Result<()> {
        self.read_from_now_on(Subscription {
            topics: [].into(),
            pattern: Some(Pattern::new(pattern.as_ref())?),
        })
    }

    /// Checks and replaces the subscription. The group's task sees the change and acts on it.
    fn read_from_now_on(&self, subscription: Subscription) -> Result<()> {
        subscription.check()?;
        self.core().group.subscription.send_replace(subscription);
        Ok(())
    }

    /// Asks the group to rebalance soon. The reason goes into the coordinator's log.
    ///
    /// Does nothing under the consumer protocol, where the coordinator alone decides when to
    /// rebalance.
    ///
    /// # References
    /// KIP-568, KIP-800.
    pub fn enforce_rebalance(&self, reason: &str) {
        self.core().group.rebalance(reason);
    }

    /// Closes the consumer as [`close`](Self::close) does, with `operation` in place of the
    /// configured end of the membership.
    pub async fn close_with(&self, operation: GroupMembershipOperation) {
        *self.core().group.on_close.lock() = operation;
        self.close().await;
    }
}
