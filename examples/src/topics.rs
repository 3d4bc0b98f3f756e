//! The topics of the order system, and their setup.

use milena::admin::{NewTopic, PerItem, TopicManager, TopicState};
use milena::{Client, Result, TopicName};

/// The topics of one order system.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Orders as shops placed them.
    pub orders: TopicName,
    /// Orders that passed validation.
    pub validated: TopicName,
    /// Orders that were paid.
    pub paid: TopicName,
    /// Orders on their way to the customer.
    pub shipped: TopicName,
    /// Records that could not be processed, with the cause in their headers.
    pub dead_letters: TopicName,
}

impl Topics {
    /// Returns the topics with a prefix, such as `shop-7.`. It may be empty.
    #[must_use]
    pub fn with_prefix(prefix: &str) -> Self {
        let name = |name: &str| TopicName::from(format!("{prefix}{name}"));
        Self {
            orders: name("orders"),
            validated: name("orders.validated"),
            paid: name("orders.paid"),
            shipped: name("orders.shipped"),
            dead_letters: name("orders.dead-letters"),
        }
    }

    /// Returns all topics, in the order in which an order passes them.
    #[must_use]
    pub fn all(&self) -> [&TopicName; 5] {
        let Self {
            orders,
            validated,
            paid,
            shipped,
            dead_letters,
        } = self;
        [orders, validated, paid, shipped, dead_letters]
    }

    /// Returns the topics whose records are handled.
    #[must_use]
    pub fn handled(&self) -> [&TopicName; 3] {
        [&self.orders, &self.validated, &self.paid]
    }

    /// Creates the missing topics with `partitions` partitions each. Returns the state of each
    /// topic.
    ///
    /// # Errors
    /// An error if the cluster cannot be reached.
    pub async fn set_up(
        &self,
        client: &Client,
        partitions: i32,
    ) -> Result<PerItem<TopicName, TopicState>> {
        let wanted = self
            .all()
            .map(|name| NewTopic::new(name).partitions(partitions));
        TopicManager::new(client.admin())
            .topics(wanted)
            .ensure()
            .await
    }

    /// Deletes all topics with their records.
    ///
    /// # Errors
    /// An error if the cluster cannot be reached or refuses.
    pub async fn tear_down(&self, client: &Client) -> Result<()> {
        client
            .admin()
            .delete_topics(self.all())
            .await?
            .all()
            .map(drop)
    }
}
