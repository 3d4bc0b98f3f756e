//! The topics of the order system, and how they are set up.

use milena::admin::{NewTopic, PerItem, TopicManager, TopicState};
use milena::{Client, Result, TopicName};

/// The topics of one order system.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Where shops place orders.
    pub orders: TopicName,
    /// Orders that passed validation.
    pub validated: TopicName,
    /// Orders that were paid.
    pub paid: TopicName,
    /// Orders on their way to the customer.
    pub shipped: TopicName,
    /// What could not be processed, with the cause in its headers.
    pub dead_letters: TopicName,
}

impl Topics {
    /// The topics under a prefix, such as `shop-7.`; empty for none.
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

    /// All of them, in the order in which an order passes them.
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

    /// Those whose records are handled.
    #[must_use]
    pub fn handled(&self) -> [&TopicName; 3] {
        [&self.orders, &self.validated, &self.paid]
    }

    /// Creates those that are missing, with that many partitions each, and says how they stand.
    ///
    /// # Errors
    /// Where the cluster cannot be reached.
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

    /// Deletes them all, with what they hold.
    ///
    /// # Errors
    /// Where the cluster cannot be reached or refuses.
    pub async fn tear_down(&self, client: &Client) -> Result<()> {
        client
            .admin()
            .delete_topics(self.all())
            .await?
            .all()
            .map(drop)
    }
}
