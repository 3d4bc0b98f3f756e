//! The topics that delayed retry needs, made where they are missing.

use milena_admin::NewTopic;
use milena_core::{ErrorCode, Result, TopicName};
use milena_middleware::RetryTopics;

use crate::client::Client;

impl Client {
    /// Creates the retry topics of `topic` where they are missing, each with as many partitions as it, and gives what a consumer of it
    /// subscribes to: the topic and its retry topics.
    ///
    /// Replication and retention are the brokers' defaults; retention has to be longer than the delays.
    ///
    /// # Errors
    /// A topic that does not exist; why a retry topic cannot be made.
    ///
    /// # Cancel safety
    /// Dropped, some of the topics may be made. May be called again.
    pub async fn create_retry_topics(
        &self,
        topics: &RetryTopics,
        topic: impl Into<TopicName>,
    ) -> Result<Vec<TopicName>> {
        let topic = topic.into();
        let partitions = self.cluster().topic(topic.clone()).await?.partitions.len();
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let missing = topics.of(&topic);
        let missing = missing
            .iter()
            .map(|name| NewTopic::new(name).partitions(partitions));
        let created = self.admin().create_topics(missing).await?;
        for (_, result) in created.iter() {
            match result {
                Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                    return Err(error.clone());
                }
                _ => {}
            }
        }
        Ok(topics.all_of(&topic))
    }
}
