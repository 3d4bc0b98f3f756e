//! Creates the missing topics that a stack writes to.

use std::collections::BTreeMap;

use milena_admin::NewTopic;
use milena_core::{ErrorCode, Result, Routes, TopicName, WriteName};
use milena_middleware::RetryTopics;

use crate::client::Client;

impl Client {
    /// Creates the missing topics that the layers of a stack or a router write to. Returns the
    /// topics that the consumer subscribes to, which are `topics` and their retry topics.
    ///
    /// The created topics are dead letter topics, retry topics, and the topics that an
    /// [`EmitLayer`](milena_middleware::EmitLayer) was given. A retry topic gets as many partitions
    /// as its base topic. Any other topic gets as many as the largest of `topics`. Replication and
    /// retention are the brokers' defaults. Retention must be longer than the delays. Without this
    /// call, a missing topic is an error of `run`, before the first record.
    ///
    /// # Errors
    /// An error if one of `topics` does not exist, or if another topic cannot be created.
    ///
    /// # Cancel safety
    /// If the future is dropped, some of the topics may have been created. It may be called again.
    pub async fn create_topics_for<R, I>(&self, routes: &R, topics: I) -> Result<Vec<TopicName>>
    where
        R: Routes,
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        let mut read = BTreeMap::new();
        for topic in topics {
            let topic = topic.into();
            let partitions = self.cluster().topic(topic.clone()).await?.partitions.len();
            read.insert(topic, i32::try_from(partitions).unwrap_or(i32::MAX));
        }
        let most = read.values().copied().max().unwrap_or(1);
        let mut wanted = BTreeMap::new();
        let mut subscribe: Vec<TopicName> = read.keys().cloned().collect();
        for info in routes.routes() {
            for target in info.writes.iter().filter(|target| target.same_cluster) {
                match &target.to {
                    WriteName::Topic(name) => {
                        wanted.insert(name.clone(), most);
                    }
                    WriteName::Suffix(_) => {
                        let own =
                            |topic: &TopicName| info.takes(topic) && info.base_of(topic).is_none();
                        for (topic, partitions) in read.iter().filter(|(topic, _)| own(topic)) {
                            let retries = target.for_topic(topic);
                            if !subscribe.contains(&retries) {
                                subscribe.push(retries.clone());
                            }
                            wanted.insert(retries, *partitions);
                        }
                    }
                }
            }
        }
        self.create_missing(wanted).await?;
        Ok(subscribe)
    }

    /// Creates the missing retry topics of `topic`, each with as many partitions as `topic`.
    /// Returns `topic` and its retry topics, which a consumer of it subscribes to.
    ///
    /// Replication and retention are the brokers' defaults. Retention must be longer than the
    /// delays.
    ///
    /// # Errors
    /// An error if `topic` does not exist, or if a retry topic cannot be created.
    ///
    /// # Cancel safety
    /// If the future is dropped, some of the topics may have been created. It may be called again.
    pub async fn create_retry_topics(
        &self,
        topics: &RetryTopics,
        topic: impl Into<TopicName>,
    ) -> Result<Vec<TopicName>> {
        let topic = topic.into();
        let partitions = self.cluster().topic(topic.clone()).await?.partitions.len();
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let missing = topics.of(&topic).into_iter();
        self.create_missing(missing.map(|name| (name, partitions)).collect())
            .await?;
        Ok(topics.all_of(&topic))
    }

    async fn create_missing(&self, topics: BTreeMap<TopicName, i32>) -> Result<()> {
        let new =
            |(name, partitions): (&TopicName, &i32)| NewTopic::new(name).partitions(*partitions);
        let created = self.admin().create_topics(topics.iter().map(new)).await?;
        for (_, result) in created.iter() {
            match result {
                Err(error) if error.code() != Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {
                    return Err(error.clone());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
