//! The topics of the order system, and how they are set up.

use milena::admin::NewTopic;
use milena::{Client, ErrorCode, Result, TopicName};

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
        [
            &self.orders,
            &self.validated,
            &self.paid,
            &self.shipped,
            &self.dead_letters,
        ]
    }

    /// Creates those that are missing, with that many partitions each, and says which it created.
    ///
    /// # Errors
    /// Where the cluster cannot be reached or refuses a topic.
    pub async fn set_up(&self, client: &Client, partitions: i32) -> Result<Vec<TopicName>> {
        let wanted = self
            .all()
            .map(|name| NewTopic::new(name).partitions(partitions));
        let mut created = Vec::new();
        for (name, result) in client.admin().create_topics(wanted).await? {
            match result {
                Ok(_) => created.push(name),
                Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(created)
    }

    /// Deletes them all, with what they hold.
    ///
    /// # Errors
    /// Where the cluster cannot be reached or refuses.
    pub async fn tear_down(&self, client: &Client) -> Result<()> {
        client.admin().delete_topics(self.all()).await?.all()?;
        Ok(())
    }
}
